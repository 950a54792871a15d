//! The program itself, on a screen in memory (Xvfb) or without any.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use ruroco_lab::{programs, wait};
use tempfile::TempDir;

use crate::person::{add_host, new_folder};

/// A font whose only character is 門, made with fontTools' FontBuilder: a box.
const GATE_FONT: &[u8] = include_bytes!("fonts/gate.ttf");

/// A process that ends with its owner.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().expect("start a program"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A screen in memory.
struct Screen {
    display: String,
    _xvfb: Running,
}

impl Screen {
    fn new() -> Self {
        let mut xvfb = Command::new("Xvfb");
        xvfb.args(["-displayfd", "1", "-screen", "0", "920x640x24", "-nolisten", "tcp"]);
        let mut xvfb = Running::start(xvfb.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut number = String::new();
        let told = xvfb.0.stdout.take().expect("the output of Xvfb");
        BufReader::new(told).read_line(&mut number).expect("the number of the display");
        Self { display: format!(":{}", number.trim()), _xvfb: xvfb }
    }

    fn has_window(&self) -> bool {
        let mut search = Command::new("xdotool");
        search.args(["search", "--onlyvisible", "--name", "ruroco"]).env("DISPLAY", &self.display);
        search.output().expect("run xdotool").status.success()
    }
}

/// The program, as it is started in a session without anything but these.
fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(programs::path("ruroco-client-ui"));
    command.env_clear().env("RUROCO_CONF_DIR", folder.path()).env("HOME", folder.path());
    command.env("LIBGL_ALWAYS_SOFTWARE", "1").env("XDG_RUNTIME_DIR", folder.path());
    command
}

/// Has the program find no font but this one.
fn with_font(command: &mut Command, folder: &Path, font: &[u8]) {
    let fonts = folder.join("fonts");
    fs::create_dir(&fonts).unwrap();
    fs::write(fonts.join("gate.ttf"), font).unwrap();
    let (cache, config) = (folder.join("cache"), folder.join("fonts.conf"));
    let text = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\"><fontconfig>\
         <dir>{}</dir><cachedir>{}</cachedir></fontconfig>",
        fonts.display(),
        cache.display()
    );
    fs::write(&config, text).unwrap();
    command.env("FONTCONFIG_FILE", config);
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs Xvfb: cargo xtask test")]
fn a_wayland_display_that_is_gone_leaves_the_window_to_x11() {
    let (screen, folder) = (Screen::new(), new_folder());
    let mut command = program(&folder);
    command.env("DISPLAY", &screen.display).env("WAYLAND_DISPLAY", "stale");
    let mut window = Running::start(&mut command);
    wait::until("the window", || {
        assert_eq!(window.0.try_wait().unwrap(), None, "it has ended");
        screen.has_window().then_some(())
    });
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs Xvfb: cargo xtask test")]
fn a_name_that_the_windows_own_fonts_lack_is_drawn_with_a_font_of_the_system() {
    let (screen, folder) = (Screen::new(), new_folder());
    add_host(&folder, "門", |_| {});
    let mut command = program(&folder);
    with_font(command.env("DISPLAY", &screen.display), folder.path(), GATE_FONT);
    let window = Running::start(&mut command);
    let maps = format!("/proc/{}/maps", window.0.id());
    wait::until("the font to be used", || {
        let maps = fs::read_to_string(&maps).expect("the program runs");
        maps.contains("gate.ttf").then_some(())
    });
}

#[test]
fn without_a_display_it_says_what_failed_and_what_works() {
    let folder = new_folder();
    for (variables, reason) in [
        (&[][..], "neither WAYLAND_DISPLAY nor DISPLAY is set"),
        (&[("WAYLAND_DISPLAY", "stale")], "cannot connect to the Wayland display"),
        (&[("WAYLAND_DISPLAY", "stale"), ("DISPLAY", ":4242")], "X server"),
    ] {
        let output = program(&folder).envs(variables.iter().copied()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(error.contains(reason) && error.contains("`ruroco-client`"), "{error}");
        assert!(!error.contains(".rs") && !error.contains("cargo"), "{error}");
    }
}
