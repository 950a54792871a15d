//! libFuzzer's way to [`ruroco_fuzz::door_event`].

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    if ruroco_fuzz::door_event(data) { Corpus::Keep } else { Corpus::Reject }
});
