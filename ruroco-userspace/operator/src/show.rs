//! `ruroco status`: checks each part that a knock needs, reads the last runs and rejections, and shows them.

use std::{
    fs::{self, File, Permissions},
    io::{self, IsTerminal, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::Context;
use ruroco_config::Source;
use ruroco_gate::status::{self, Status};

use super::{
    health::Health,
    knocks, prometheus, refused,
    report::{Keys, Report},
    running_config::RunningConfig,
};

/// Exit code: packets reach the host past the gate's program. That the gate does not answer is 1, as
/// every other error.
const OPEN: u8 = 3;

/// Exit code: the gate is attached, and a knock would not work.
const NOT_READY: u8 = 4;

/// Time between two requests.
const INTERVAL: Duration = Duration::from_secs(1);

/// The mode of a file for another program.
const FILE_MODE: u32 = 0o644;

/// What to show, and how.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Print JSON: one object on one line
    #[arg(long, conflicts_with = "prometheus")]
    json: bool,
    /// Repeat every second until Ctrl-C
    #[arg(long, conflicts_with = "prometheus")]
    watch: bool,
    /// Print Prometheus' text format, for node_exporter's textfile collector
    #[arg(long)]
    prometheus: bool,
    /// Write to this file, replacing it in one step
    #[arg(long, requires = "prometheus", value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many of the last knocks, and of the last rejected knocks, to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    knocks: usize,
}

/// Shows the state of all parts. The exit code shows whether a knock would work now.
///
/// # Errors
/// If config.toml has errors and no gate answers, or no program reads standard output.
pub fn run(config: &Path, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let running = &RunningConfig::read(config)?;
    if arguments.watch {
        return watch(running, arguments);
    }
    if arguments.prometheus {
        return expose(running, arguments);
    }
    let mut before = None;
    if !arguments.json && running.config.source == Source::Xdp {
        // People want to know how fast the counters rise; programs ask twice themselves.
        before = status::ask(&running.config.socket_dir).ok();
    }
    if before.is_some() {
        thread::sleep(INTERVAL);
    }
    let report = report(running, arguments, before.as_ref());
    print(&shown(&report, arguments, Keys::Each)?)?;
    Ok(code(&report))
}

fn report(running: &RunningConfig, arguments: &Arguments, before: Option<&Status>) -> Report {
    let RunningConfig { config, finding } = running;
    let mut health = Health::examine(config);
    health.parts.splice(0..0, finding.clone());
    let status = health.status.as_ref().and_then(|status| status.as_ref().ok());
    let keys = status.map(|status| status.keys.as_slice()).unwrap_or_default();
    let refused = refused::by_server(config, keys, arguments.knocks);
    let trail = knocks::read(&config.audit_dir, arguments.knocks);
    Report::new(health, before, trail, refused)
}

fn shown(report: &Report, arguments: &Arguments, keys: Keys) -> anyhow::Result<String> {
    match arguments.json {
        true => Ok(format!("{}\n", serde_json::to_string(report)?)),
        false => Ok(report.to_text(keys)),
    }
}

fn code(report: &Report) -> ExitCode {
    match (&report.error, report.open, report.ready) {
        (Some(_), _, _) => ExitCode::FAILURE,
        (None, true, _) => OPEN.into(),
        (None, false, false) => NOT_READY.into(),
        (None, false, true) => ExitCode::SUCCESS,
    }
}

/// Continues until no program reads the output, or a signal ends it. A stopped gate may start again.
fn watch(running: &RunningConfig, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let on_screen = io::stdout().is_terminal() && !arguments.json;
    let mut before = None;
    loop {
        let report = report(running, arguments, before.as_ref());
        let text = shown(&report, arguments, Keys::Count)?;
        let text = match (on_screen, arguments.json) {
            (true, _) => redrawn(&text),
            (false, true) => text,
            (false, false) => format!("{text}\n"),
        };
        if !print(&text)? {
            return Ok(code(&report));
        }
        before = report.status;
        thread::sleep(INTERVAL);
    }
}

/// The text in the place of what is on the screen, by the control sequences that every terminal has
/// (ECMA-48): to the first place, each line to its end, and all that is below.
pub(super) fn redrawn(text: &str) -> String {
    format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
}

/// Writes an exposition even if the gate does not answer, so that readers of the file do not take an old one
/// for the current state.
fn expose(running: &RunningConfig, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = report(running, arguments, None);
    let text = prometheus::exposition(&report);
    match &arguments.output {
        Some(path) => {
            replace(path, &text).with_context(|| format!("could not write {}", path.display()))?;
        }
        None => {
            print(&text)?;
        }
    }
    Ok(code(&report))
}

/// Replaces a file in one step. Others may own its directory: nothing that they put there is
/// followed or kept.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(&new)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.set_permissions(Permissions::from_mode(FILE_MODE)))
        .and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// Prints to standard output. Returns whether a program still reads it.
pub(super) fn print(text: &str) -> anyhow::Result<bool> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("could not write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("ruroco.prom"), dir.path().join("other"));
        fs::write(&other, "of value").unwrap();
        symlink(&other, &path).unwrap();
        symlink(&other, dir.path().join("ruroco.prom.new")).unwrap();
        replace(&path, "first\n").unwrap();
        let before = fs::symlink_metadata(&path).unwrap();
        assert!(before.is_file());
        assert_eq!(before.mode() & 0o7777, FILE_MODE);
        replace(&path, "second\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second\n");
        assert_ne!(fs::metadata(&path).unwrap().ino(), before.ino());
        assert_eq!(fs::read_to_string(&other).unwrap(), "of value");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
