//! Keys: their form as text, and how they stay secret in memory.
//!
//! A key is one line: `chacha20poly1305:` and the standard base64 of 40 bytes, 8 of key id and 32 of key. A
//! bare base64 line, as upstream ruroco makes it, is a key for AES-256-GCM-SIV.

use std::{fmt, path::Path, str::FromStr};

use base64ct::{Base64, Encoding};
use ruroco_common::datagram::{KEY_ID_SIZE, KeyId};
use ruroco_files::secure_file;
use ruroco_messages::problems::Problem;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Size in bytes of a secret: 256 bits (RFC 8439, section 2.8; RFC 8452, section 4).
pub const SECRET_SIZE: usize = 32;

/// Size in bytes of key id and secret, as they stand behind the base64.
pub const RAW_SIZE: usize = KEY_ID_SIZE + SECRET_SIZE;

const CHACHA_PREFIX: &str = "chacha20poly1305:";

/// Size in bytes of the longest key as text: a prefix, and the base64 of 40 bytes.
pub const MAX_TEXT_SIZE: usize = CHACHA_PREFIX.len() + 56;

/// The AEAD a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// RFC 8439, with the key id as associated data. The kernel can check it.
    ChaCha20Poly1305,
    /// RFC 8452, without associated data: keys made by upstream ruroco.
    Aes256GcmSiv,
}

impl Cipher {
    /// Its one name, as keys have it in front where they have one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "chacha20poly1305",
            Self::Aes256GcmSiv => "aes256gcmsiv",
        }
    }
}

/// The 32 secret bytes. They are wiped when dropped and never printed, and they stay where they
/// are when the secret is moved: a move would leave a copy behind.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret(Box<[u8; SECRET_SIZE]>);

impl Secret {
    /// The bytes, for a cipher.
    pub fn expose(&self) -> &[u8; SECRET_SIZE] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A key: whom it belongs to on the wire, what it is for, and the secret.
#[derive(Clone, Debug)]
pub struct Key {
    /// Is in clear text in every packet.
    pub id: KeyId,
    /// What the secret is for.
    pub cipher: Cipher,
    /// Never printed.
    pub secret: Secret,
}

/// What may be shown of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// What the secret is for.
    pub cipher: Cipher,
    /// Is in clear text in every packet.
    pub id: KeyId,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.cipher.name(), self.id)
    }
}

impl FromStr for Label {
    type Err = NotALabel;

    fn from_str(text: &str) -> Result<Self, NotALabel> {
        let (cipher, id) = text.trim().split_once(' ').ok_or(NotALabel)?;
        let ciphers = [Cipher::ChaCha20Poly1305, Cipher::Aes256GcmSiv];
        let cipher = ciphers.into_iter().find(|known| known.name() == cipher).ok_or(NotALabel)?;
        let number = u64::from_str_radix(id, 16).map_err(|_| NotALabel)?;
        let label = Self { cipher, id: KeyId(number.to_be_bytes()) };
        // There is one way to write it.
        if label.id.to_string() == id { Ok(label) } else { Err(NotALabel) }
    }
}

/// A text that is not the label of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a cipher and a key id, as in `chacha20poly1305 0001020304050607`")]
pub struct NotALabel;

/// A text that is not a key. The message never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not the base64 of 40 bytes.
    #[error(
        "not a key: expected one line, `chacha20poly1305:` followed by 56 characters of standard base64; create one \
        with: ruroco-client key gen --out NAME.key"
    )]
    Malformed,
    /// A prefix that names no cipher of ours.
    #[error(
        "a key for an unknown cipher: expected the line to begin with `chacha20poly1305:` or to be \
         bare base64"
    )]
    UnknownCipher,
}

/// A key file that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Unreadable, or readable by too many.
    #[error(transparent)]
    File(#[from] secure_file::Error),
    /// Read, but not a key.
    #[error("{path}:1: {fault}")]
    Content {
        /// The file.
        path: std::path::PathBuf,
        /// The error in its first line.
        fault: ParseError,
    },
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        match error {
            FileError::File(error) => error.into(),
            FileError::Content { path, fault } => Self::error(&path, fault).at_line(1),
        }
    }
}

impl Key {
    /// What may be shown of it.
    pub fn label(&self) -> Label {
        Label { cipher: self.cipher, id: self.id }
    }

    /// Whether it is the other one, by whatever name.
    pub fn is(&self, other: &Self) -> bool {
        self.label() == other.label() && self.secret.expose() == other.secret.expose()
    }

    /// Reads a key from its text; white space around it is ignored.
    ///
    /// # Errors
    /// [`ParseError`] if the text is not a key.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let (cipher, encoded) = match text.strip_prefix(CHACHA_PREFIX) {
            Some(encoded) => (Cipher::ChaCha20Poly1305, encoded),
            None if text.contains(':') => return Err(ParseError::UnknownCipher),
            None => (Cipher::Aes256GcmSiv, text),
        };
        let mut raw = Zeroizing::new([0_u8; RAW_SIZE]);
        match Base64::decode(encoded, &mut *raw) {
            Ok(decoded) if decoded.len() == RAW_SIZE => Ok(Self::from_raw(&raw, cipher)),
            Ok(_) | Err(_) => Err(ParseError::Malformed),
        }
    }

    /// Whether a text is a key, or was one before it was damaged.
    pub fn is_meant_by(text: &str) -> bool {
        text.trim_start().starts_with(CHACHA_PREFIX) || Self::parse(text).is_ok()
    }

    /// Reads a key file of this user's own.
    ///
    /// # Errors
    /// [`FileError`] if others can read the file, or it holds no key.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::parse_file(path, &secure_file::read_own_secret(path)?)
    }

    /// The key in the text of a file.
    ///
    /// # Errors
    /// [`FileError`] if it holds no key.
    pub fn parse_file(path: &Path, text: &str) -> Result<Self, FileError> {
        Self::parse(text).map_err(|fault| FileError::Content { path: path.to_owned(), fault })
    }

    /// The key as one line of text without a line end, the inverse of [`Key::parse`].
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut raw = Zeroizing::new([0_u8; RAW_SIZE]);
        let (id, secret) = raw.split_at_mut(KEY_ID_SIZE);
        id.copy_from_slice(&self.id.0);
        secret.copy_from_slice(self.secret.expose());
        let encoded = Zeroizing::new(Base64::encode_string(&*raw));
        let prefix = match self.cipher {
            Cipher::ChaCha20Poly1305 => CHACHA_PREFIX,
            Cipher::Aes256GcmSiv => "",
        };
        // One allocation of the final size: a growing string would leave copies behind.
        let mut text = String::with_capacity(prefix.len().saturating_add(encoded.len()));
        text.push_str(prefix);
        text.push_str(&encoded);
        Zeroizing::new(text)
    }

    /// The same with a line end, as it is in a file.
    pub fn to_line(&self) -> Zeroizing<String> {
        let text = self.to_text();
        let mut line = Zeroizing::new(String::with_capacity(text.len().saturating_add(1)));
        line.push_str(&text);
        line.push('\n');
        line
    }

    /// Makes a key of key id and secret, as they stand behind the base64.
    pub fn from_raw(raw: &[u8; RAW_SIZE], cipher: Cipher) -> Self {
        let mut id = [0; KEY_ID_SIZE];
        let mut secret = Secret(Box::new([0; SECRET_SIZE]));
        let (raw_id, raw_secret) = raw.split_at(KEY_ID_SIZE);
        id.copy_from_slice(raw_id);
        secret.0.copy_from_slice(raw_secret);
        Self { id: KeyId(id), cipher, secret }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UPSTREAM: &str = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

    #[test]
    fn a_bare_line_is_a_key_of_upstream() {
        let key = Key::parse(UPSTREAM).unwrap();
        assert_eq!(key.cipher, Cipher::Aes256GcmSiv);
        assert_eq!(key.id, KeyId([0, 1, 2, 3, 4, 5, 6, 7]));
        assert_eq!(key.secret.expose()[0], 0x20);
        assert_eq!(*key.to_text(), UPSTREAM);
    }

    #[test]
    fn what_is_nearly_a_key_is_refused() {
        for text in [
            "",
            "chacha20poly1305:",
            &UPSTREAM[..55],                  // no full padding
            &UPSTREAM.replace('+', "-"),      // the URL alphabet
            &UPSTREAM.replace("ISI", "I SI"), // white space inside
            &format!("{UPSTREAM}AAAA"),       // too long
            "AAAA",                           // too short
            &format!("chacha20poly1305: {UPSTREAM}"),
        ] {
            assert_eq!(Key::parse(text).unwrap_err(), ParseError::Malformed, "{text}");
        }
        let other = format!("aes128:{UPSTREAM}");
        assert_eq!(Key::parse(&other).unwrap_err(), ParseError::UnknownCipher);
    }

    #[test]
    fn no_way_of_printing_a_key_shows_the_secret() {
        let key = Key::parse(UPSTREAM).unwrap();
        let printed = format!("{key:?} {key:#?}");
        assert!(printed.contains("[redacted]"));
        assert!(!printed.contains("32") && !printed.to_lowercase().contains("0x20"), "{printed}");
    }

    proptest! {
        #[test]
        fn a_key_survives_being_written_down(raw: [u8; RAW_SIZE], chacha: bool) {
            let cipher = if chacha { Cipher::ChaCha20Poly1305 } else { Cipher::Aes256GcmSiv };
            let key = Key::from_raw(&raw, cipher);
            let again = Key::parse(&format!("\n {}\n", *key.to_text())).unwrap();
            prop_assert_eq!(again.id, key.id);
            prop_assert_eq!(again.cipher, cipher);
            prop_assert_eq!(again.secret.expose(), key.secret.expose());
            prop_assert!(again.is(&key));
            prop_assert_eq!(key.label().to_string().parse(), Ok(key.label()));
        }
    }
}
