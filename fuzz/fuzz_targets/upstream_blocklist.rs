//! libFuzzer's way to [`ruroco_fuzz::upstream_blocklist`].

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if ruroco_fuzz::upstream_blocklist(data) { Corpus::Keep } else { Corpus::Reject }
});
