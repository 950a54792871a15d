//! What the maintained crates take to refuse a datagram, one round for each line of input.
//!
//! A line is `ROUNDS KEY DATAGRAM`, the latter two in hexadecimal; the answer is a line of
//! nanoseconds per refusal, in the order of [`REFUSALS`]. So whoever asks can put other measurements
//! in between, and noise of the machine meets all of them.
#![allow(clippy::print_stderr, reason = "a program of the benchmark's, read by it alone")]

use std::{
    hint::black_box,
    io::{self, BufRead, Write},
    process::ExitCode,
    time::Instant,
};

use aes_gcm_siv::Aes256GcmSiv;
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{AeadInOut, Nonce, Tag},
};
use ruroco_common::datagram::Datagram;
use zerocopy::FromBytes;

type Key = [u8; 32];
type Refusal = fn(u32, &Key, &Datagram) -> Option<f64>;

/// Each cipher with a key that was prepared once, and with one that is prepared for every packet.
const REFUSALS: [Refusal; 4] = [
    prepared::<ChaCha20Poly1305>,
    unprepared::<ChaCha20Poly1305>,
    prepared::<Aes256GcmSiv>,
    unprepared::<Aes256GcmSiv>,
];

fn main() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let times = measure(&line?).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "wanted: ROUNDS KEY FORGED_DATAGRAM")
        })?;
        let words: Vec<String> = times.iter().map(|time| format!("{time:.2}")).collect();
        writeln!(io::stdout(), "{}", words.join(" "))?;
    }
    Ok(())
}

fn measure(line: &str) -> Option<Vec<f64>> {
    let mut words = line.split(' ');
    let rounds = words.next()?.parse().ok()?;
    let key = bytes(words.next()?)?.try_into().ok()?;
    let datagram = Datagram::read_from_bytes(&bytes(words.next()?)?).ok()?;
    REFUSALS.iter().map(|refusal| refusal(rounds, &key, &datagram)).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2).map(str::from_utf8);
    digits.map(|digits| u8::from_str_radix(digits.ok()?, 16).ok()).collect()
}

fn prepared<C: KeyInit + AeadInOut>(rounds: u32, key: &Key, datagram: &Datagram) -> Option<f64> {
    let cipher = C::new_from_slice(key).ok()?;
    time(rounds, || refuses(&cipher, black_box(datagram)))
}

fn unprepared<C: KeyInit + AeadInOut>(rounds: u32, key: &Key, datagram: &Datagram) -> Option<f64> {
    time(rounds, || {
        let cipher = C::new_from_slice(black_box(key)).ok()?;
        refuses(&cipher, black_box(datagram))
    })
}

/// `None` if it does not refuse: then something else has been measured.
fn refuses<C: AeadInOut>(cipher: &C, datagram: &Datagram) -> Option<()> {
    let mut content = datagram.ciphertext;
    let nonce = Nonce::<C>::try_from(&datagram.nonce[..]).ok()?;
    let tag = Tag::<C>::try_from(&datagram.tag[..]).ok()?;
    let opened =
        cipher.decrypt_inout_detached(&nonce, &datagram.key_id.0, (&mut content[..]).into(), &tag);
    black_box(&content);
    opened.is_err().then_some(())
}

/// Nanoseconds for each of `rounds` calls.
fn time(rounds: u32, mut refusal: impl FnMut() -> Option<()>) -> Option<f64> {
    let begun = Instant::now();
    for _ in 0..rounds {
        refusal()?;
    }
    Some(begun.elapsed().as_secs_f64() * 1e9 / f64::from(rounds))
}
