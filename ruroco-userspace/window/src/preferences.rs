//! The user's preferences for the window itself.

use std::path::Path;

use eframe::egui::{self, Vec2};
use serde::{Deserialize, Serialize};

use super::state_file::{Found, StateFile, WriteError};

const FILE: &str = "window.json";

/// Smallest and largest window that is opened, in points.
const SIZES: (f32, f32) = (360.0, 10_000.0);

/// Smallest and greatest zoom that the keyboard shortcuts can set.
const ZOOMS: (f32, f32) = (0.2, 5.0);

/// The preferences.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Preferences {
    pub(super) theme: Theme,
    /// The window's width and height in points, without zoom.
    pub(super) size: (f32, f32),
    /// The zoom factor.
    pub(super) zoom: f32,
}

/// The colour theme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { theme: Theme::System, size: (920.0, 680.0), zoom: 1.0 }
    }
}

impl Preferences {
    /// The size, limited to a usable range.
    pub(super) fn window_size(&self) -> Vec2 {
        let (least, most) = SIZES;
        let fit = |side: f32| if side.is_finite() { side.clamp(least, most) } else { least };
        Vec2::new(fit(self.size.0), fit(self.size.1))
    }

    /// The zoom, limited to a usable range.
    pub(super) fn zoom(&self) -> f32 {
        let (least, most) = ZOOMS;
        if self.zoom.is_finite() { self.zoom.clamp(least, most) } else { 1.0 }
    }
}

impl Theme {
    /// The next theme in the cycle.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl From<Theme> for egui::ThemePreference {
    fn from(theme: Theme) -> Self {
        match theme {
            Theme::System => Self::System,
            Theme::Light => Self::Light,
            Theme::Dark => Self::Dark,
        }
    }
}

/// The file with the preferences.
#[derive(Clone, Debug)]
pub(super) struct PreferencesFile(StateFile);

impl PreferencesFile {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(StateFile::new(folder, FILE))
    }

    pub(super) fn read(&self) -> Found<Preferences> {
        self.0.read()
    }

    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, preferences: Preferences) -> Result<(), WriteError> {
        self.0.change(|kept: &mut Preferences| *kept = preferences).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_makes_a_window_that_cannot_be_seen() {
        for size in [(0.0, -5.0), (f32::NAN, f32::INFINITY), (1e9, 1e9)] {
            let found = Preferences { size, ..Preferences::default() }.window_size();
            assert!(found.x >= 360.0 && found.y <= 10_000.0, "{size:?}: {found:?}");
        }
        for zoom in [0.0, -1.0, f32::NAN, 1e9] {
            let found = Preferences { zoom, ..Preferences::default() }.zoom();
            assert!((0.2..=5.0).contains(&found), "{zoom}: {found}");
        }
    }
}
