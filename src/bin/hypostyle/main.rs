//! The `hypostyle` command.
fn main() {}
