//! Which files and directories a program of root may trust: the whole [path](trusted_path) to them, or
//! nothing. [`trusted_file`] reads them, [`private_directory`] creates directories for one program alone, and
//! [`users`] looks up their owners.
//!
//! Only programs of a host need this. For a person's own files, only the file itself is checked
//! ([`ruroco_files::secure_file`]).

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod private_directory;
pub mod trusted_file;
pub mod trusted_path;
pub mod users;
