//! A Python of this checkout, with two packages. `cryptography`, which is OpenSSL, is a second
//! implementation that packets of the client are held against. `z3-solver` is what the prover asks
//! which paths are possible.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{host::step, process, workspace::Workspace};

/// Its release. AES-256-GCM-SIV takes the OpenSSL that comes with it (3.2 or later).
const CRYPTOGRAPHY: &str = "cryptography==48.0.0";

/// Its release.
const Z3: &str = "z3-solver==5.4.1.0";

/// The program, after it was made if it was not there.
///
/// # Errors
/// If it cannot be made or fetched.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.tools().join("python");
    let python = folder.join("bin/python3");
    let has_both = "from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV as A; \
                    A(bytes(32)); import z3";
    let is_there = process::is_program(&python)
        && process::output(process::command(&python).args(["-c", has_both])).is_ok();
    if !is_there {
        let mut make = process::command("python3");
        step("python", make.args(["-m", "venv", "--clear"]).arg(&folder))
            .context("it needs Python with its module venv")?;
        let mut fetch = process::command(&python);
        step("its packages", fetch.args(["-m", "pip", "install", "--quiet", CRYPTOGRAPHY, Z3]))
            .context("it needs pypi.org, or a mirror that pip is configured for")?;
    }
    Ok(python)
}
