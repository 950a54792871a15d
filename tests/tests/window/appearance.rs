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
    person.sees("The window's settings were reset");
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
        (Key::Num3, "No knocks yet"),
        (Key::Num1, "Knock at home: default"),
        (Key::N, "Your name for the host."),
    ] {
        person.types(Modifiers::COMMAND, key);
        person.sees(seen);
    }
    person.types(Modifiers::NONE, Key::Escape);
    person.sees("Knock at home: default");
    person.types(Modifiers::COMMAND, Key::I);
    person.sees("It begins with ruroco:// and contains a key.");
    person.writes("Invitation", "half of one");
    // The first leaves the field, so that a slip costs nothing.
    person.types(Modifiers::NONE, Key::Escape);
    assert_eq!(person.reads("Invitation").chars().count(), "half of one".len());
    person.types(Modifiers::NONE, Key::Escape);
    person.presses("Discard");
    person.sees("Knock at home: default");
}

#[test]
fn nothing_of_a_dialog_is_outside_of_a_small_window() {
    let folder = new_folder();
    let name = "long-name-".repeat(9) + "x";
    add_host(&folder, &name, |host| {
        host.commands = vec!["a_command_with_a_name_that_is_too_long_for_a_button".to_owned()];
        host.confirm.clone_from(&host.commands);
    });
    let size = Vec2::new(360.0, 400.0);
    let mut person = Person::opens_with(folder, size);
    let knock = "Knock at NAME: a_command_with_a_name_that_is_too_long_for_a_button";
    for way in [
        &[knock][..],
        &["Keys", "Make a key", "Make the key"],
        &["Keys", "Import a key", "Import the key"],
        &["Keys", "Delete the key NAME"],
        &["Keys", "Show the key NAME", "Show the text", "Show the QR code"],
    ] {
        for step in way {
            person.presses(&step.replace("NAME", &name));
        }
        person.looks();
        let placed = person.dialog();
        assert!(placed.len() > 2, "{way:?}: {placed:?}");
        // What is too far down can be scrolled to.
        for (label, rect) in placed {
            let fits = rect.left() >= 0.0 && rect.right() <= size.x;
            assert!(fits, "{way:?}: `{label}` is at {rect:?}");
        }
        person.types(Modifiers::NONE, Key::Escape);
        person.types(Modifiers::NONE, Key::Escape);
    }
}

#[test]
fn the_zoom_is_remembered() {
    let mut person = Person::opens(new_folder());
    person.types(Modifiers::COMMAND, Key::Plus);
    person.types(Modifiers::COMMAND, Key::Plus);
    let zoom = person.zoom();
    assert!(zoom > 1.1, "{zoom}");
    ruroco_lab::wait::until("the zoom to be kept", || {
        person.looks();
        let kept = fs::read_to_string(person.folder.path().join("window.json")).ok()?;
        kept.contains(&format!("\"zoom\": {zoom}")).then_some(())
    });
    let mut person = Person::opens(person.closes());
    person.looks();
    assert!((person.zoom() - zoom).abs() < 0.01, "{}", person.zoom());
}

#[test]
fn no_empty_field_looks_as_if_it_had_a_value() {
    let mut person = Person::opens(new_folder());
    let mut seen = 0;
    for way in [&["Add a host by hand", "More settings"][..], &["Keys", "Make a key"]] {
        way.iter().for_each(|step| person.presses(step));
        for placeholder in person.placeholders().iter().filter(|text| !text.is_empty()) {
            assert!(placeholder.starts_with("e.g. "), "{placeholder}");
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}
