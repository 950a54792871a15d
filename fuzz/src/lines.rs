//! Changing a text by whole lines.
//!
//! A fuzzer that knows bytes only hardly ever gets from one good configuration to another: nearly
//! every change is a mistake in the syntax, behind which ruroco's own rules are not reached. So
//! every other change is made here, with lines that mean something.

/// Changes the text in the first `size` bytes of `data` and returns its new size, at most
/// `max_size`; `seed` decides how. `None`, and no change, if it is no text, if the new one would not
/// fit, or if this change is to be made by the bytes.
pub fn change(
    vocabulary: &[&str],
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
) -> Option<usize> {
    let mut dice = Dice(seed);
    if dice.roll(2) == 0 {
        return None;
    }
    let text = str::from_utf8(data.get(..size)?).ok()?;
    let mut lines: Vec<&str> = text.lines().collect();
    for _ in 0..=dice.roll(3) {
        let known = vocabulary[dice.roll(vocabulary.len())];
        let (place, other) = (dice.roll(lines.len() + 1), dice.roll(lines.len() + 1));
        match dice.roll(4) {
            0 if place < lines.len() => drop(lines.remove(place)),
            1 if place.max(other) < lines.len() => lines.swap(place, other),
            2 if place < lines.len() => lines[place] = known,
            _ => lines.insert(place, known),
        }
    }
    let changed = lines.join("\n");
    data[..max_size].get_mut(..changed.len())?.copy_from_slice(changed.as_bytes());
    Some(changed.len())
}

/// Random numbers that depend on nothing but where they begin: xorshift (Marsaglia 2003).
struct Dice(u32);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 |= u32::from(self.0 == 0);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        usize::try_from(self.0).unwrap() % sides
    }
}
