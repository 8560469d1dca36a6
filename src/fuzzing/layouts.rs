//! Layouts as encoded bytes and as text.
#![forbid(unsafe_code)]

use crate::layout::Layout;
use crate::patch::RecordSizes;

/// Arbitrary bytes as an encoded layout and as a layout file. What is accepted survives a round trip.
pub fn layout_decode(bytes: &[u8]) {
    if let Ok(layout) = Layout::decode(bytes) {
        check_layout(&layout);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(layout) = Layout::parse(text, "fuzz")
    {
        check_layout(&layout);
    }
}

fn check_layout(layout: &Layout) {
    let decoded = Layout::decode(&layout.encode()).expect("what was accepted can be encoded and decoded");
    assert_eq!(&decoded, layout);
    assert_eq!(decoded.hash(), layout.hash());
    let sizes = RecordSizes::new(layout);
    for (id, component) in layout.components().iter().enumerate() {
        assert_eq!(sizes.value(id as u16, 0), Some(component.packed_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::*;

    #[test]
    fn layouts_survive_random_and_mutated_bytes() {
        let text = "name = \"w\"\n[[component]]\nname = \"position\"\nfields = { x = \"f32\", v = \"[f32; 3]\" }\n";
        let files = [text, include_str!("../../layouts/particles.toml"), include_str!("../../layouts/nbody.toml")];
        let encoded: Vec<_> =
            files.iter().filter_map(|file| Layout::parse(file, "seed").ok()).map(|l| l.encode()).collect();
        assert!(encoded.len() >= 2, "the shipped layouts are valid");
        for seed in 0..if cfg!(miri) { 20 } else { 3000 } {
            let mut random = Random(seed);
            let mut bytes = match random.below(2) {
                0 => files[random.below(files.len())].as_bytes().to_vec(),
                _ => encoded[random.below(encoded.len())].clone(),
            };
            for _ in 0..random.below(6) {
                let at = random.below(bytes.len());
                bytes[at] = if random.below(2) == 0 { random.next() as u8 } else { random.below(32) as u8 };
            }
            if random.below(4) == 0 {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            layout_decode(&bytes);
        }
    }
}
