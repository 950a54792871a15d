//! libFuzzer's way to [`ruroco_fuzz::client_toml`].

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use ruroco_fuzz::{CLIENT_LINES, lines};

fuzz_target!(|data: &[u8]| -> Corpus {
    if ruroco_fuzz::client_toml(data) { Corpus::Keep } else { Corpus::Reject }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    lines::change(&CLIENT_LINES, data, size, max_size, seed)
        .unwrap_or_else(|| fuzzer_mutate(data, size, max_size))
});
