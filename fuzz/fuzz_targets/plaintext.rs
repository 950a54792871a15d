//! libFuzzer's way to [`ruroco_fuzz::plaintext`].

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if ruroco_fuzz::plaintext(data) { Corpus::Keep } else { Corpus::Reject }
});
