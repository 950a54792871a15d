//! `cargo xtask screenshots`: the pictures of the window in the documentation.
//!
//! The real program runs on a screen in memory (Xvfb), over folders whose content is fixed, and knocks
//! at a host that is an address of a network namespace. So the pictures differ from one run to the
//! next only where the window does, but for a few milliseconds, and for the time until which a door is open.

mod stage;

use std::{fs, process::Command};

use anyhow::{Context, Result};

use self::stage::{Scene, Stage};
use crate::{
    host::{cargo, require_root, step},
    packages::{self, Wants},
    process,
    workspace::Workspace,
};

/// Programs, and the packages that have them on Debian.
const TOOLS: [(&str, &str); 4] =
    [("Xvfb", "xvfb"), ("xdotool", "xdotool"), ("import", "imagemagick"), ("pngquant", "pngquant")];

/// Libraries that the window loads, or the screen in memory draws with.
const LIBRARIES: [&str; 5] =
    ["libegl1", "libgl1", "libgl1-mesa-dri", "libxkbcommon-x11-0", "libxcursor1"];

const WIDE: (u32, u32) = (920, 640);
const NARROW: (u32, u32) = (360, 680);

/// Where the first host's first command is, in a wide window and in a narrow one.
const FIRST_COMMAND: &str = "mousemove 270 156 click 1 mousemove 900 600";
const FIRST_COMMAND_IN_NARROW: &str = "mousemove 80 180 click 1 mousemove 5 5";

/// An invitation with the key of nobody.
const INVITED: &str = "key ctrl+i sleep 1 type ruroco://192.0.2.44:8080?name=garden&key=chacha20poly1305%3A\
                       AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0%2BPw%3D%3D&command=open_gate&wait=443";

/// The pictures; each is `docs/images/window-NAME.png`.
const SCENES: [Scene; 10] = [
    Scene { keys: FIRST_COMMAND, ..Scene::new("hosts", "dark", WIDE) },
    Scene { keys: FIRST_COMMAND, ..Scene::new("hosts-light", "light", WIDE) },
    Scene { keys: FIRST_COMMAND, door: true, ..Scene::new("door", "light", WIDE) },
    Scene { keys: FIRST_COMMAND, answers: false, ..Scene::new("nothing-opened", "light", WIDE) },
    Scene { keys: "key ctrl+n sleep 1 key ctrl+s", ..Scene::new("edit", "dark", WIDE) },
    Scene { keys: INVITED, ..Scene::new("invitation", "light", WIDE) },
    Scene { keys: "key ctrl+2", ..Scene::new("keys", "dark", WIDE) },
    Scene { keys: "key ctrl+3", ..Scene::new("history", "light", WIDE) },
    Scene { faulty: true, ..Scene::new("mistakes", "dark", WIDE) },
    Scene { keys: FIRST_COMMAND_IN_NARROW, ..Scene::new("narrow", "light", NARROW) },
];

/// Builds the window and photographs it.
///
/// # Errors
/// If something is missing, or the window does not come to what is to be seen.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    require_root("screenshots")?;
    let folders = process::program_folders();
    if TOOLS.iter().any(|(program, _)| process::find(program, &folders).is_none()) {
        let packages = TOOLS.iter().map(|(_, package)| *package).chain(LIBRARIES).collect();
        let wants = Wants { packages, ..Wants::default() };
        packages::install(&wants, "cargo xtask screenshots")?;
    }
    let build = ["build", "--package", "ruroco-userspace", "--no-default-features"];
    let window = ["--features", "with-gui", "--bin", "ruroco-client-ui"];
    step("window", &mut cargo(workspace, &[&build[..], &window].concat()))?;
    let program = workspace.debug().join("ruroco-client-ui");
    let images = workspace.root().join("docs").join("images");
    fs::create_dir_all(&images).with_context(|| format!("cannot make {}", images.display()))?;
    for scene in &SCENES {
        let picture = images.join(format!("window-{}.png", scene.name));
        Stage::set(scene)?.photograph(scene, &program, &picture)?;
        let mut smaller = Command::new("pngquant");
        smaller.args(["--force", "--strip", "--speed", "1", "--quality", "60-95", "--ext", ".png"]);
        process::output(smaller.arg(&picture))?;
        let size = fs::metadata(&picture).map(|metadata| metadata.len()).unwrap_or_default();
        println!("{} {} KB", workspace.relative(&picture).display(), size.div_ceil(1024));
    }
    Ok(())
}
