//! Which device each configured interface is, while devices are renamed.
//!
//! A program stays on its device when the device is renamed. The gate then keeps it under another of the
//! configured names. It removes the program only from a device that has none of them any more.

/// A configured interface, by the indices of devices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    /// The device that has the name.
    pub(super) named: Option<u32>,
    /// The device that the program was last kept on under this name.
    pub(super) held: Option<u32>,
}

/// For each interface, which of the devices that are held it is to hold from now on. `exists` says
/// whether there still is a device, under whatever name.
pub(super) fn assign(interfaces: &[Named], exists: impl Fn(u32) -> bool) -> Vec<Option<u32>> {
    let is_held = |device: &u32| holder(interfaces, *device).is_some();
    let mut assigned: Vec<Option<u32>> =
        interfaces.iter().map(|interface| interface.named.filter(is_held)).collect();
    for (at, interface) in interfaces.iter().enumerate() {
        let is_left = |device: &u32| !assigned.contains(&Some(*device)) && exists(*device);
        let Some(device) = interface.held.filter(is_left) else { continue };
        if let Some(place) = vacancy(interfaces, at).and_then(|place| assigned.get_mut(place)) {
            *place = Some(device);
        }
    }
    assigned
}

/// The place under which to keep a device whose name is no longer configured. That is its old name if no
/// other device has it. If names are being exchanged, it is the name of the device that has the old name now,
/// and so on. If that device is not attached, the exchange is over, or there was no exchange.
fn vacancy(interfaces: &[Named], mut at: usize) -> Option<usize> {
    for _ in interfaces {
        let Some(device) = interfaces.get(at)?.named else { return Some(at) };
        at = holder(interfaces, device)?;
    }
    None
}

fn holder(interfaces: &[Named], device: u32) -> Option<usize> {
    interfaces.iter().position(|interface| interface.held == Some(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(interfaces: &[(Option<u32>, Option<u32>)], existing: &[u32]) -> Vec<Option<u32>> {
        let interfaces: Vec<_> =
            interfaces.iter().map(|&(named, held)| Named { named, held }).collect();
        assign(&interfaces, |device| existing.contains(&device))
    }

    #[test]
    fn what_is_not_renamed_stays_and_what_is_gone_is_let_go() {
        let both = [(Some(2), Some(2)), (Some(3), Some(3))];
        assert_eq!(assigned(&both, &[2, 3]), [Some(2), Some(3)]);
        assert_eq!(assigned(&[(None, Some(2)), (Some(3), Some(3))], &[3]), [None, Some(3)]);
        // One that has only come, and another device in the place of one that has gone.
        assert_eq!(assigned(&[(Some(4), Some(2)), (Some(3), None)], &[3, 4]), [None, None]);
    }

    #[test]
    fn a_renamed_device_is_kept_until_another_has_its_name() {
        assert_eq!(assigned(&[(None, Some(2)), (None, None)], &[2]), [Some(2), None]);
        assert_eq!(assigned(&[(Some(4), Some(2)), (None, None)], &[2, 4]), [None, None]);
        // Nor is it kept under the name of one that has gone.
        assert_eq!(assigned(&[(Some(4), Some(2)), (None, Some(3))], &[2, 4]), [None, None]);
    }

    #[test]
    fn names_may_change_hands_in_a_circle() {
        // Of two: the first goes out of the way, the second takes its name.
        let mut held = vec![Some(2), Some(3)];
        for named in [[None, Some(3)], [Some(3), None], [Some(3), Some(2)]] {
            let interfaces: Vec<_> = named.into_iter().zip(held).collect();
            held = assigned(&interfaces, &[2, 3]);
            assert!(held.contains(&Some(2)) && held.contains(&Some(3)), "{named:?}: {held:?}");
        }
        assert_eq!(held, [Some(3), Some(2)]);
        // Of three.
        let mut held = vec![Some(2), Some(3), Some(4)];
        for named in [
            [None, Some(3), Some(4)],
            [Some(3), None, Some(4)],
            [Some(3), Some(4), None],
            [Some(3), Some(4), Some(2)],
        ] {
            let interfaces: Vec<_> = named.into_iter().zip(held).collect();
            held = assigned(&interfaces, &[2, 3, 4]);
            assert!(held.iter().all(Option::is_some), "{named:?}: {held:?}");
        }
        assert_eq!(held, [Some(3), Some(4), Some(2)]);
    }
}
