//! Light and dark, wide and narrow.

use std::fs;

use egui::{Key, Modifiers, Vec2};

use crate::person::{Person, add_host, new_folder};

#[test]
fn the_colours_are_switched_and_remembered() {
    let mut person = Person::opens(new_folder());
    person.presses("Colours: system. Switch to light");
    assert!(!person.is_dark());
    person.presses("Colours: light. Switch to dark");
    assert!(person.is_dark());
    ruroco_lab::wait::until("the choice to be kept", || {
        let kept = fs::read_to_string(person.folder.path().join("window.json")).ok()?;
        kept.contains("dark").then_some(())
    });
    let mut person = Person::opens(person.closes());
    person.sees("Colours: dark");
    assert!(person.is_dark());
}

#[test]
fn damaged_settings_are_kept_aside() {
    let folder = new_folder();
    fs::write(folder.path().join("window.json"), "{\"theme\": \"pink\"}").unwrap();
    let mut person = Person::opens(folder);
    person.sees("The window's settings begin anew");
    assert!(person.folder.path().join("window.json.damaged-1").exists());
}

#[test]
fn nothing_to_press_is_outside_of_a_narrow_window() {
    let folder = new_folder();
    add_host(&folder, &"long-name-".repeat(9), |host| {
        let command = "a_command_with_a_name_that_is_too_long_for_the_window_that_it_is_in";
        host.commands = vec![command.to_owned(), "open_ssh".to_owned(), "close_ssh".to_owned()];
        host.wait = std::num::NonZero::new(22);
    });
    let mut person = Person::opens_with(folder, Vec2::new(360.0, 720.0));
    for way in ["Hosts", "Add a host", "More settings", "Keys", "Make a key", "", "History"] {
        match way {
            "" => person.types(Modifiers::NONE, Key::Escape),
            way => person.presses(way),
        }
        for (name, place) in person.controls() {
            let inside = place.left() >= 0.0 && place.right() <= 360.0;
            assert!(inside, "after `{way}`, `{name}` is at {place:?}");
        }
    }
}

#[test]
fn the_keyboard_leads_to_every_screen_and_back() {
    let folder = new_folder();
    add_host(&folder, "home", |_| {});
    let mut person = Person::opens(folder);
    for (key, seen) in [
        (Key::Num2, "Show the key home"),
        (Key::Num3, "No knock yet"),
        (Key::Num1, "Knock at home: default"),
        (Key::N, "As you call it."),
    ] {
        person.types(Modifiers::COMMAND, key);
        person.sees(seen);
    }
    person.types(Modifiers::NONE, Key::Escape);
    person.sees("Knock at home: default");
    person.types(Modifiers::COMMAND, Key::I);
    person.sees("The line that the host's set-up has shown");
    person.writes("Invitation", "half of one");
    // The first leaves the field, so that a slip costs nothing.
    person.types(Modifiers::NONE, Key::Escape);
    assert_eq!(person.reads("Invitation"), "half of one");
    person.types(Modifiers::NONE, Key::Escape);
    person.presses("Leave it");
    person.sees("Knock at home: default");
}
