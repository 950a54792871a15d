//! Which files and directories a program of root's may trust: the whole [path](trusted_path) to them, or
//! nothing. [`trusted_file`] reads them, [`private_directory`] makes directories for one program alone, and
//! [`users`] finds whom things belong to.
//!
//! Only programs of a host need this. A person's own files are checked by themselves
//! ([`ruroco_files::secure_file`]).

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, reason = "a test may fail loudly"))]

pub mod private_directory;
pub mod trusted_file;
pub mod trusted_path;
pub mod users;
