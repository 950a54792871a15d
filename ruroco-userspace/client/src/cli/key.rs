//! `ruroco-client key`: a person's keys. No line that this prints has a secret in it, but those that
//! were asked for: `export`, and `gen` without a name or a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use ruroco_invite::qr;
use ruroco_keys::{
    key::{Cipher, Key},
    name::Name,
};
use ruroco_messages::problems::Problems;
use ruroco_seal::generate_key_for;
use serde_json::json;

use super::{completion, confirm, reveal, say, secret};
use crate::{
    export::{self, Form},
    folder::Folder,
    key_store::{self, KeyReference, KeyStore, Place, Stored},
};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Make a key: the same one goes to the client and to the server
    Gen(Gen),
    /// Take a key over, from a file, a picture of its QR code, standard input or the keyboard
    Import {
        /// What to call it
        name: Name,
        #[command(flatten)]
        place: PlaceFlag,
        #[command(flatten)]
        source: secret::Source,
    },
    /// Show a key, or write it down: whoever sees it can knock
    Export {
        /// Name of the key
        #[arg(add = completion::keys())]
        name: Name,
        #[command(flatten)]
        form: FormFlags,
    },
    /// List the keys, without their secrets
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a key, which cannot be brought back
    Remove {
        /// Name of the key
        #[arg(add = completion::keys())]
        name: Name,
        /// Also if hosts have it
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
pub(super) struct Gen {
    /// Keep it under this name
    #[arg(required_unless_present = "out", conflicts_with = "out")]
    name: Option<Name>,
    #[command(flatten)]
    place: PlaceFlag,
    /// Write it to this new file instead, readable by you alone
    #[arg(long, value_name = "FILE", conflicts_with = "keyring")]
    out: Option<PathBuf>,
    /// For a server of upstream ruroco (AES-256-GCM-SIV); the kernel cannot check such keys
    #[arg(long)]
    upstream: bool,
}

/// Where a new key is to be kept.
#[derive(Args)]
pub(super) struct PlaceFlag {
    /// Keep the key in this system's keyring, and not in a file
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
    /// As text, into this new file, readable by you alone
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As a QR code on the terminal
    #[arg(long)]
    qr: bool,
    /// As a QR code, into this new SVG file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// As a QR code, into this new PNG file
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

const PROMPT: &str = "Paste the key, one line (it is not shown): ";

pub(super) fn run(action: Action) -> anyhow::Result<()> {
    // A key in a file of its own needs no folder.
    if let Action::Gen(Gen { out: Some(path), upstream, .. }) = &action {
        let key = generate(*upstream)?;
        export::write(&key.to_text(), Form::Text, path)?;
        return say(&format!("made a key in {}: {}", path.display(), key.label()));
    }
    let folder = Folder::of_user()?;
    let keys = folder.keys();
    match action {
        Action::Gen(Gen { name, place, upstream, .. }) => {
            let name = name.context("say a NAME or --out")?;
            let key = generate(upstream)?;
            keys.add(&name, &key, place.chosen())?;
            tell_kept("made", &name, &key, &keys)?;
            say(&format!("The host needs it, too: ruroco-client key export {name}"))
        }
        Action::Import { name, place, source } => {
            let key = parse(&source.read(PROMPT)?)?;
            keys.add(&name, &key, place.chosen())?;
            tell_kept("imported", &name, &key, &keys)?;
            source.leftover().map_or(Ok(()), |leftover| {
                say(&format!("{} holds it, too: remove it", leftover.display()))
            })
        }
        Action::Export { name, form } => show(&keys.read(&KeyReference::Named(name))?, &form),
        Action::List { json } => list(&keys, json),
        Action::Remove { name, force, yes } => remove(&folder, &name, force, yes),
    }
}

/// Makes a key without a name, as upstream ruroco's client does: into a file, or for everybody who
/// reads standard output.
pub(super) fn generate_unnamed(out: Option<&Path>) -> anyhow::Result<()> {
    let key = generate(false)?;
    match out {
        Some(path) => Ok(export::write(&key.to_text(), Form::Text, path)?),
        None => reveal(&key.to_text()),
    }
}

fn generate(upstream: bool) -> anyhow::Result<Key> {
    let cipher = if upstream { Cipher::Aes256GcmSiv } else { Cipher::ChaCha20Poly1305 };
    generate_key_for(cipher).context("could not get random numbers for a key")
}

fn parse(text: &str) -> anyhow::Result<Key> {
    if text.trim_start().starts_with("ruroco:") {
        bail!("this is an invitation, not a key; accept it with: ruroco-client invite");
    }
    Ok(Key::parse(text)?)
}

fn tell_kept(done: &str, name: &Name, key: &Key, keys: &KeyStore) -> anyhow::Result<()> {
    let place = shown_place(keys.place(name)?, name, keys);
    say(&format!("{done} the key {name}: {}, in {place}", key.label()))
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
            return reveal(&qr::for_terminal(&text).context("could not draw the key")?);
        }
        FormFlags { qr: false, .. } => return reveal(&text),
    };
    export::write(&text, form, path)?;
    say(&format!("wrote {}: whoever can read it can knock", path.display()))
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
        return say(&json!({ "keys": stored.iter().map(of).collect::<Vec<_>>() }).to_string());
    }
    let width = stored.iter().map(|key| key.name.as_str().chars().count()).max().unwrap_or(0);
    for key in &stored {
        let what = match &key.label {
            Ok(label) => format!("{label}  {}", shown_place(key.place, &key.name, keys)),
            Err(error) => format!("cannot be used: {error}"),
        };
        say(&format!("{:width$}  {what}", key.name))?;
    }
    if stored.is_empty() {
        say("there is no key yet; a host's invitation brings one: ruroco-client invite")?;
    }
    Ok(())
}

fn remove(folder: &Folder, name: &Name, force: bool, yes: bool) -> anyhow::Result<()> {
    let keys = folder.keys();
    let place = keys.place(name)?;
    if !force {
        let users = users(folder, name).context(
            "Cannot tell which hosts use this key, because client.toml has mistakes. Pass --force to \
             delete it anyway",
        )?;
        if !users.is_empty() {
            bail!(
                "the key {name} is that of {}; remove them first with `ruroco-client host remove`, \
                 or say --force",
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
        confirm(&format!("Delete the key {name} in {place} permanently?"), &without)?;
    }
    keys.remove(name)?;
    say(&format!(
        "Deleted key {name} from this computer. The host still accepts it: to revoke it, remove it there \
         too."
    ))
}

/// The hosts that have a key.
fn users(folder: &Folder, key: &Name) -> Result<Vec<String>, Problems> {
    let (profiles, keys) = (folder.profiles().read().or_problems()?, folder.keys());
    let users = profiles.iter().filter(|(_, host)| keys.is_meant(key, &host.key));
    Ok(users.map(|(name, _)| name.to_string()).collect())
}
