//! What a run of a command does: it opens or closes doors, runs a program, or first the one and then the other.

use std::time::Duration;

use ruroco_common::doors::DoorName;

/// At least one door, or a program, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    doors: Vec<DoorChange>,
    program: Option<Program>,
}

/// What to do with a door, for the address that the command runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorChange {
    /// The door.
    pub door: DoorName,
    /// What to do with it.
    pub action: DoorAction,
}

/// To open a door or to close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorAction {
    /// To open it.
    Open {
        /// For how long: `for` of the door.
        duration: Duration,
    },
    /// To close it.
    Close,
}

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// An absolute path, or a name to look for in `PATH`.
    pub path: String,
    /// Its arguments, without the program itself.
    pub arguments: Vec<String>,
}

impl Task {
    /// Changes these doors, and then runs the program; `None` if there is nothing to do.
    pub fn new(doors: Vec<DoorChange>, program: Option<Program>) -> Option<Self> {
        (!doors.is_empty() || program.is_some()).then_some(Self { doors, program })
    }

    /// The doors to open or close, before the program runs.
    pub fn doors(&self) -> &[DoorChange] {
        &self.doors
    }

    /// The names of the doors to open.
    pub fn opens(&self) -> impl Iterator<Item = DoorName> {
        let opens = |change: &&DoorChange| matches!(change.action, DoorAction::Open { .. });
        self.doors.iter().filter(opens).map(|change| change.door)
    }

    /// The names of the doors to close.
    pub fn closes(&self) -> impl Iterator<Item = DoorName> {
        let closes = |change: &&DoorChange| change.action == DoorAction::Close;
        self.doors.iter().filter(closes).map(|change| change.door)
    }

    /// The program to run, if there is one.
    pub fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }
}
