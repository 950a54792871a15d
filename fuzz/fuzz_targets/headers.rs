//! libFuzzer's way to [`ruroco_fuzz::headers`].

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if ruroco_fuzz::headers(data) { Corpus::Keep } else { Corpus::Reject }
});
