//! A batch as plain words: what every worker needs to run any of its jobs, in offsets and never in pointers.
//!
//! ```text
//! Head                                                 19 words
//! JobEntry      one for each job                        2 words each
//! task index    one for each task: where it begins      1 word each
//! tasks, each:
//!   TaskHead                                            3 words
//!   ColumnEntry   one for each column in use            4 words each
//!   systems, each:
//!     SystemHead                                        3 words
//!     ColumnUse     one for each column                 1 word each
//!     flag          one for each optional component     1 word each
//!     MaskHead      one for each condition              1 word, then its offsets
//!     payload                                           bytes, padded to words
//!     views, each:
//!       ViewHead                                        6 words
//!       flag        one for each optional component     1 word each
//!       ViewColumn  one for each column                 2 words each
//!       MaskHead    one for each condition              1 word, then its offsets
//! lists that jobs build in place, if they do:
//!   BuildHead                                           2 words
//!   ViewColumn    one for each field of an element      2 words each
//!   BuildSpans    one for each task                     2 words each
//!   ListRoom      one for each job                      1 word each
//! ```
//!
//! | file | what |
//! |------|------|
//! | [`entries`] | every structure of the program: its fields, and its two directions side by side |
//! | [`words`] | reading words that may be rubbish |
//! | [`matches`] | how systems' queries match tables, kept from batch to batch |
//! | [`ghosts`] | which columns show ghosts behind their rows |
//! | [`build`] | a group of systems and the tables of the moment become a program |
//! | [`build_lists`] | the room that jobs get for lists which they build in place |
//! | [`task`] | a program's task becomes columns of mapped memory |
//! | [`sort_work`] | the programs of a sort |
//! | [`find_order`] | another kind of program: how a table's rows stand in the order of a key |
//! | [`order`] | the third kind: a table's rows are put in that order |
//!
//! Invariant: a worker process gets the words through memory that others can write, so every access is checked. No other
//! file knows the order of an entry's words.

pub(crate) mod build;
pub(crate) mod build_lists;
mod entries;
pub(crate) mod find_order;
mod ghosts;
mod matches;
pub(crate) mod order;
pub(crate) mod sort_work;
pub(crate) mod task;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use entries::{Head, JobEntry, TaskHead};
pub(crate) use words::{Entry, Words};
