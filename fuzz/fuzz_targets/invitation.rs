//! libFuzzer's way to [`ruroco_fuzz::invitation`].

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if ruroco_fuzz::invitation(data) { Corpus::Keep } else { Corpus::Reject }
});
