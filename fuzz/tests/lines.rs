//! Changing a text by whole lines leaves it a text of such lines, and gets everywhere.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use ruroco_fuzz::lines::change;

#[test]
fn lines_come_go_and_stay_lines() {
    const ROOM: usize = 200;
    let vocabulary = ["one", "two"];
    let mut data = b"zero".to_vec();
    data.resize(ROOM, 0);
    let (mut size, mut seen, mut by_bytes) = (4, Vec::new(), 0);
    for seed in 0..1_000 {
        match change(&vocabulary, &mut data, size, ROOM, seed) {
            None => by_bytes += 1,
            Some(new) => size = new,
        }
        let text = str::from_utf8(&data[..size]).unwrap();
        assert!(text.lines().all(|line| ["zero", "one", "two"].contains(&line)), "{text:?}");
        seen.push(text.to_owned());
    }
    assert!((300..900).contains(&by_bytes), "{by_bytes} of 1000");
    for text in ["one\ntwo\n", "two\none\none"] {
        assert!(seen.iter().any(|seen| seen.contains(text)), "never {text:?}");
    }
}
