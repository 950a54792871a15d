//! `ruroco-client key`: the user's keys. Only `export`, and `gen` without a name or a file, print a secret.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use ruroco_invite::qr;
use ruroco_keys::{
    key::{Cipher, Key},
    name::Name,
};
use ruroco_messages::problems::Problems;
use ruroco_seal::generate_key_for;
use serde_json::json;

use super::{completion, confirm, print_line, print_secret, secret};
use crate::{
    export::{self, Form},
    folder::Folder,
    key_store::{self, KeyReference, KeyStore, Place, Stored},
};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Create a key. The client and the host need the same one
    Gen(Gen),
    /// Import a key from a file, a picture of its QR code, standard input or a prompt
    Import {
        /// Name for the key
        name: Name,
        #[command(flatten)]
        place: PlaceFlag,
        #[command(flatten)]
        source: secret::Source,
    },
    /// Show a key or write it to a file. Anyone with the key can knock
    Export {
        /// Name of the key
        #[arg(add = completion::keys())]
        name: Name,
        #[command(flatten)]
        form: FormFlags,
    },
    /// List the keys, without their secrets
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a key permanently from this computer
    ///
    /// The host still accepts the key until it is revoked there.
    Remove {
        /// Name of the key
        #[arg(add = completion::keys())]
        name: Name,
        /// Delete the key even if hosts use it
        #[arg(long)]
        force: bool,
        /// Do not prompt for confirmation
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
pub(super) struct Gen {
    /// Name for the key
    #[arg(required_unless_present = "out", conflicts_with = "out")]
    name: Option<Name>,
    #[command(flatten)]
    place: PlaceFlag,
    /// Write the key to this new file instead, which only you can read
    #[arg(long, value_name = "FILE", conflicts_with = "keyring")]
    out: Option<PathBuf>,
    /// Create a key for an upstream ruroco server (AES-256-GCM-SIV). The kernel cannot authenticate such keys
    #[arg(long)]
    upstream: bool,
}

/// Where to store a new key.
#[derive(Args)]
pub(super) struct PlaceFlag {
    /// Store the key in the system's keyring instead of a file
    #[arg(long)]
    keyring: bool,
}

impl PlaceFlag {
    pub(super) fn chosen(&self) -> Place {
        if self.keyring { Place::Keyring } else { Place::File }
    }
}

#[derive(Args)]
#[group(multiple = false)]
pub(super) struct FormFlags {
    /// Write the key as text to this new file, which only you can read
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show a QR code on the terminal
    #[arg(long)]
    qr: bool,
    /// Write a QR code to this new SVG file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write a QR code to this new PNG file
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

const PROMPT: &str = "Paste the key, which is one line (it is not shown): ";

pub(super) fn run(action: Action) -> anyhow::Result<()> {
    // A key that goes to a file of its own does not need the client's folder.
    if let Action::Gen(Gen { out: Some(path), upstream, .. }) = &action {
        let key = generate(*upstream)?;
        export::write(&key.to_text(), Form::Text, path)?;
        return print_line(&format!("created a key in {}: {}", path.display(), key.label()));
    }
    let folder = Folder::of_user()?;
    let keys = folder.keys();
    match action {
        Action::Gen(Gen { name, place, upstream, .. }) => {
            let name = name.context("pass a NAME or --out FILE")?;
            let key = generate(upstream)?;
            keys.add(&name, &key, place.chosen())?;
            print_stored("created", &name, &key, &keys)?;
            print_line(&format!(
                "The host needs the same key. To show it, run: ruroco-client key export {name}"
            ))
        }
        Action::Import { name, place, source } => {
            let key = parse(&source.read(PROMPT)?)?;
            keys.add(&name, &key, place.chosen())?;
            print_stored("imported", &name, &key, &keys)?;
            source.leftover().map_or(Ok(()), |leftover| {
                print_line(&format!("{} also contains the key. Delete it.", leftover.display()))
            })
        }
        Action::Export { name, form } => show(&keys.read(&KeyReference::Named(name))?, &form),
        Action::List { json } => list(&keys, json),
        Action::Remove { name, force, yes } => remove(&folder, &name, force, yes),
    }
}

/// Creates a key without a name, as upstream ruroco's client does: in a file, or on standard output.
pub(super) fn generate_unnamed(out: Option<&Path>) -> anyhow::Result<()> {
    let key = generate(false)?;
    match out {
        Some(path) => Ok(export::write(&key.to_text(), Form::Text, path)?),
        None => print_secret(&key.to_text()),
    }
}

fn generate(upstream: bool) -> anyhow::Result<Key> {
    let cipher = if upstream { Cipher::Aes256GcmSiv } else { Cipher::ChaCha20Poly1305 };
    generate_key_for(cipher).context("cannot get random numbers for a key")
}

fn parse(text: &str) -> anyhow::Result<Key> {
    if text.trim_start().starts_with("ruroco:") {
        bail!("this is an invitation, not a key. To accept it, run `ruroco-client join`");
    }
    Ok(Key::parse(text)?)
}

fn print_stored(done: &str, name: &Name, key: &Key, keys: &KeyStore) -> anyhow::Result<()> {
    let place = shown_place(keys.place(name)?, name, keys);
    print_line(&format!("{done} key {name}: {}, in {place}", key.label()))
}

fn shown_place(place: Place, name: &Name, keys: &KeyStore) -> String {
    match place {
        Place::File => keys.path(name).display().to_string(),
        Place::Keyring => "the system's keyring".to_owned(),
    }
}

fn show(key: &Key, form: &FormFlags) -> anyhow::Result<()> {
    let text = key.to_text();
    let (form, path) = match form {
        FormFlags { out: Some(path), .. } => (Form::Text, path),
        FormFlags { svg: Some(path), .. } => (Form::Svg, path),
        FormFlags { png: Some(path), .. } => (Form::Png, path),
        FormFlags { qr: true, .. } => {
            return print_secret(
                &qr::for_terminal(&text).context("cannot draw a QR code of the key")?,
            );
        }
        FormFlags { qr: false, .. } => return print_secret(&text),
    };
    export::write(&text, form, path)?;
    print_line(&format!("wrote {}. Anyone who can read this file can knock.", path.display()))
}

fn list(keys: &KeyStore, as_json: bool) -> anyhow::Result<()> {
    let stored = keys.list()?;
    let trouble =
        |key: &Stored| key.label.as_ref().err().map(|error: &key_store::Error| error.to_string());
    if as_json {
        let of = |key: &Stored| {
            let label = key.label.as_ref().ok();
            json!({
                "name": key.name.as_str(),
                "cipher": label.map(|label| label.cipher.name()),
                "id": label.map(|label| label.id.to_string()),
                "keyring": key.place == Place::Keyring,
                "file": (key.place == Place::File).then(|| keys.path(&key.name)),
                "trouble": trouble(key),
            })
        };
        return print_line(
            &json!({ "keys": stored.iter().map(of).collect::<Vec<_>>() }).to_string(),
        );
    }
    let width = stored.iter().map(|key| key.name.as_str().chars().count()).max().unwrap_or(0);
    for key in &stored {
        let what = match &key.label {
            Ok(label) => format!("{label}  {}", shown_place(key.place, &key.name, keys)),
            Err(error) => format!("cannot be used: {error}"),
        };
        print_line(&format!("{:width$}  {what}", key.name))?;
    }
    if stored.is_empty() {
        print_line(
            "No keys yet. An invitation contains one: to accept it, run `ruroco-client join`.",
        )?;
    }
    Ok(())
}

fn remove(folder: &Folder, name: &Name, force: bool, yes: bool) -> anyhow::Result<()> {
    let keys = folder.keys();
    let place = keys.place(name)?;
    if !force {
        let users = users(folder, name).map_err(|problems| {
            anyhow!(
                "cannot tell which hosts use this key, because client.toml has errors:\n{problems}\nFix \
                 them, or pass --force to delete the key anyway"
            )
        })?;
        if !users.is_empty() {
            bail!(
                "key {name} is used by {}. Remove these hosts first with `ruroco-client host remove`, or pass \
                 --force to delete the key anyway",
                users.join(", ")
            );
        }
    }
    if !yes {
        let place = shown_place(place, name, &keys);
        let without = format!(
            "Refusing to delete key {name} without confirmation (no terminal). Pass --yes to delete it \
             permanently."
        );
        confirm(&format!("Delete key {name} ({place}) permanently?"), &without)?;
    }
    keys.remove(name)?;
    print_line(&format!(
        "Deleted key {name} from this computer. The host still accepts it: to revoke it, remove it there \
         too."
    ))
}

/// The hosts that use a key.
fn users(folder: &Folder, key: &Name) -> Result<Vec<String>, Problems> {
    let (profiles, keys) = (folder.profiles().read().or_problems()?, folder.keys());
    let users = profiles.iter().filter(|(_, host)| keys.is_meant(key, &host.key));
    Ok(users.map(|(name, _)| name.to_string()).collect())
}
