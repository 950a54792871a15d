//! `docs/operate/verdicts.md`: the names are those of the code, all of them, in the order of the checks.

use ruroco_common::{candidate, maps, verdict::Verdict};
use ruroco_server::refusal::Refusal;

use super::{page, quoted, section, table};

const PAGE: &str = "operate/verdicts.md";

/// Each record of the ring has a header of so many bytes (`BPF_RINGBUF_HDR_SZ`, linux/bpf.h).
const RING_HEADER: usize = 8;

#[test]
fn every_verdict_has_its_row_in_the_order_of_the_checks() {
    let page = page(PAGE);
    let text = section(&page, "## Verdicts of the XDP program, in the order of its checks");
    assert_eq!(names(text), Verdict::ALL.map(Verdict::name));
}

#[test]
fn every_refusal_has_its_row_in_the_order_of_the_checks() {
    let page = page(PAGE);
    let text = section(&page, "## Rejections of the server, in the order of its checks");
    assert_eq!(names(text), Refusal::ALL.map(Refusal::name));
}

#[test]
fn the_ring_and_the_memory_are_as_large_as_the_page_says() {
    let page = page(PAGE);
    let candidates = usize::try_from(maps::RING_SIZE).unwrap() / (candidate::SIZE + RING_HEADER);
    for (count, what) in
        [(candidates, "candidates"), (usize::try_from(maps::MAX_SEEN).unwrap(), "minus")]
    {
        let count = format!("{},{:03} {what}", count / 1000, count % 1000);
        assert!(page.contains(&count), "{count}");
    }
}

fn names(text: &str) -> Vec<&str> {
    table(text).into_iter().flat_map(|row| quoted(row[0])).collect()
}
