//! The program in the kernel, with its maps.

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf},
    programs::{Program, TestRun, TestRunOptions, Xdp},
};
use ruroco_common::{
    address::Address,
    candidate::Candidate,
    chacha20poly1305,
    datagram::KeyId,
    guarded::Guarded,
    keys::{self, KeyEntry},
    maps,
    rate::Rate,
    verdict::Verdict,
};
use ruroco_gate::program::OBJECT;
use ruroco_keys::key::{Cipher, Key};
use zerocopy::{FromBytes, IntoBytes};

use crate::{OURS, PORT, key};

/// What the program tells the driver (`linux/bpf.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Drop = 1,
    Pass = 2,
}

/// Room for all keys of a test: 32,768 slots, of which the map has more.
const KEY_SHIFT: u32 = 64 - 15;

/// More than any test sends.
const ANY: Rate = Rate::per_second(u32::MAX);

/// The XDP program, loaded but not attached: every test has one of its own.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    /// Whether what is refused goes to the stack.
    passes_refused: bool,
}

impl Kernel {
    /// The program before the gate has filled its maps.
    pub(crate) fn unfilled() -> Self {
        Self::with_doors_for(0)
    }

    /// The same for protocols that have doors, [`maps::TCP_DOORS`] and [`maps::UDP_DOORS`].
    pub(crate) fn with_doors_for(protocols: u8) -> Self {
        Self::with_doors(protocols, false)
    }

    /// The same, with closed doors that look like ports without a listener or like filtered ones.
    pub(crate) fn with_doors(protocols: u8, look_closed: bool) -> Self {
        assert!(!OBJECT.is_empty(), "there is no XDP program: run `cargo xtask build-ebpf`");
        let mut loader = EbpfLoader::new();
        let look_closed = u8::from(look_closed);
        loader.override_global(maps::DOOR_PROTOCOLS, &protocols, true);
        loader.override_global(maps::DOORS_LOOK_CLOSED, &look_closed, true);
        let mut ebpf = loader.load(OBJECT).expect("load the maps; are you root?");
        let program: &mut Xdp = ebpf.program_mut(maps::PROGRAM).unwrap().try_into().unwrap();
        program.load().expect("the kernel's verifier accepts the program");
        let ring = RingBuf::try_from(ebpf.take_map(maps::CANDIDATES).unwrap()).unwrap();
        Self { ebpf, ring, passes_refused: false }
    }

    /// The program with the one port, the addresses and the key of these tests.
    pub(crate) fn filled() -> Self {
        Self::filled_with_doors_for(0)
    }

    /// The same for protocols that have doors.
    pub(crate) fn filled_with_doors_for(protocols: u8) -> Self {
        let mut kernel = Self::with_doors_for(protocols);
        kernel.guard(Rate::NEVER, ANY);
        kernel.add_key(&key());
        kernel
    }

    /// The same with TCP doors that are answered when they are closed.
    pub(crate) fn answering() -> Self {
        let mut kernel = Self::with_doors(maps::TCP_DOORS, true);
        kernel.guard(ANY, ANY);
        kernel.add_key(&key());
        kernel.passes_refused = true;
        kernel
    }

    /// The same, with a share of the ring for each key, and with all that is refused going to the stack.
    pub(crate) fn sharing(share: Rate) -> Self {
        let mut kernel = Self::passing_refused(ANY);
        kernel.guard(ANY, share);
        kernel
    }

    /// The same, with so much of what is refused going to the stack.
    pub(crate) fn passing_refused(rate: Rate) -> Self {
        let mut kernel = Self::filled();
        kernel.guard(rate, ANY);
        kernel.passes_refused = true;
        kernel
    }

    /// Another program of the object.
    pub(crate) fn program_mut(&mut self, name: &str) -> &mut Program {
        self.ebpf.program_mut(name).unwrap()
    }

    pub(crate) fn map_mut(&mut self, name: &str) -> &mut Map {
        self.ebpf.map_mut(name).unwrap()
    }

    fn guard(&mut self, pass_refused: Rate, share: Rate) {
        let mut guarded = Guarded::new(PORT, &OURS.map(Address::from), pass_refused).unwrap();
        (guarded.key_shift, guarded.share) = (KEY_SHIFT, share);
        let map = self.ebpf.map_mut(maps::GUARDED).unwrap();
        let mut map = Array::<_, [u8; size_of::<Guarded>()]>::try_from(map).unwrap();
        map.set(0, <[u8; _]>::try_from(guarded.as_bytes()).unwrap(), 0).unwrap();
    }

    fn entries(&mut self) -> Array<&mut MapData, [u8; size_of::<KeyEntry>()]> {
        Array::try_from(self.ebpf.map_mut(maps::KEYS).unwrap()).unwrap()
    }

    /// The slot in which a key stands, or the first in which it could.
    fn slot_of(&mut self, id: KeyId) -> u32 {
        let (home, entries) = (keys::home(id, KEY_SHIFT), self.entries());
        let free_or_ours = |slot: &u32| {
            let entry = entries.get(slot, 0).unwrap();
            entry == [0; size_of::<KeyEntry>()] || entry.starts_with(&id.0)
        };
        (home..home + keys::PROBES).find(free_or_ours).expect("a free slot")
    }

    pub(crate) fn add_key(&mut self, key: &Key) {
        let entry = match key.cipher {
            Cipher::ChaCha20Poly1305 => {
                KeyEntry::authenticated(key.id, chacha20poly1305::Key::new(key.secret.expose()))
            }
            Cipher::Aes256GcmSiv => KeyEntry::unchecked(key.id),
        };
        let bytes: [u8; size_of::<KeyEntry>()] = zerocopy::transmute!(entry);
        let slot = self.slot_of(key.id);
        self.entries().set(slot, bytes, 0).unwrap();
    }

    /// Writes zeros over a key, as in an unfilled map.
    pub(crate) fn remove_key(&mut self, id: KeyId) {
        let slot = self.slot_of(id);
        self.entries().set(slot, [0; size_of::<KeyEntry>()], 0).unwrap();
    }

    /// Has the program forget which packets it has handed over.
    fn forget_seen(&mut self) {
        let map = self.ebpf.map_mut(maps::SEEN).unwrap();
        let mut seen = HashMap::<_, [u8; size_of::<maps::Seen>()], u8>::try_from(map).unwrap();
        let keys: Vec<_> = seen.keys().map(Result::unwrap).collect();
        keys.iter().for_each(|key| seen.remove(key).unwrap());
    }

    /// The verdict on a frame, whether it comes for the first time or not. That the action fits it,
    /// that it alone has been counted, and that the frame came out as it went in is checked on the
    /// way.
    pub(crate) fn judge(&mut self, frame: &[u8]) -> Verdict {
        self.judge_from(frame, None)
    }

    /// The same for a frame that came in on an interface of this network namespace.
    pub(crate) fn judge_from(&mut self, frame: &[u8], interface: Option<u32>) -> Verdict {
        self.forget_seen();
        self.judge_once_more(frame, interface)
    }

    /// The verdict on a frame after all those that were judged before.
    pub(crate) fn judge_once_more(&self, frame: &[u8], interface: Option<u32>) -> Verdict {
        let before = self.counters();
        let action = self.run(frame, interface);
        let after = self.counters();
        let risen: Vec<_> = Verdict::ALL
            .into_iter()
            .zip(after.iter().zip(&before).map(|(after, before)| after - before))
            .filter(|(_, times)| *times != 0)
            .collect();
        let [(verdict, 1)] = risen[..] else {
            panic!("not one verdict for one frame: {risen:?} for {frame:02x?}");
        };
        let expected = match verdict {
            Verdict::NotOurs | Verdict::DoorAdmitted | Verdict::DoorSession => Action::Pass,
            // Whoever sent these has a key.
            Verdict::OverShare | Verdict::Candidate | Verdict::RingFull => Action::Drop,
            Verdict::DoorClosed | Verdict::DoorLimited | Verdict::DoorFragment => Action::Drop,
            Verdict::Malformed
            | Verdict::Fragment
            | Verdict::WrongLength
            | Verdict::UnknownKey
            | Verdict::Replayed
            | Verdict::Throttled
            | Verdict::Forged => {
                if self.passes_refused {
                    Action::Pass
                } else {
                    Action::Drop
                }
            }
        };
        assert_eq!(action, expected, "{verdict:?} for {frame:02x?}");
        verdict
    }

    /// The program.
    pub(crate) fn program(&self) -> &Xdp {
        self.ebpf.program(maps::PROGRAM).unwrap().try_into().unwrap()
    }

    /// What the driver is told to do with a frame.
    pub(crate) fn run(&self, frame: &[u8], interface: Option<u32>) -> Action {
        let (action, out) = self.run_changing(frame, interface);
        assert!(out == *frame, "the frame was changed: {frame:02x?}");
        action
    }

    /// The verdict on a frame, the action, and what the frame has become.
    pub(crate) fn see(&self, frame: &[u8]) -> (Verdict, Action, Vec<u8>) {
        let before = self.counters();
        let (action, out) = self.run_changing(frame, None);
        let mut risen = Verdict::ALL.into_iter().zip(self.counters().into_iter().zip(before));
        let (verdict, _) = risen.find(|(_, (after, before))| after > before).unwrap();
        (verdict, action, out)
    }

    fn run_changing(&self, frame: &[u8], interface: Option<u32>) -> (Action, Vec<u8>) {
        let program = self.program();
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
        let length = u32::try_from(frame.len()).unwrap();
        let context = interface.map(|interface| [0, length, 0, interface, 0, 0]);
        let mut out = vec![0; frame.len() + 64];
        let result = program
            .test_run(TestRunOptions {
                data_in: Some(frame),
                data_out: Some(&mut out),
                ctx_in: context.as_ref().map(|context| context.as_bytes()),
                ..TestRunOptions::default()
            })
            .expect("BPF_PROG_TEST_RUN");
        let written = usize::try_from(result.data_size_out).unwrap();
        out.truncate(written);
        let action = match result.return_value {
            1 => Action::Drop,
            2 => Action::Pass,
            other => panic!("action {other} for {frame:02x?}"),
        };
        (action, out)
    }

    /// The counters in the order of the verdicts, summed over the CPUs.
    pub(crate) fn counters(&self) -> [u64; Verdict::ALL.len()] {
        Verdict::ALL.map(|verdict| self.count(verdict))
    }

    /// The counter of one verdict.
    pub(crate) fn count(&self, verdict: Verdict) -> u64 {
        let counters = PerCpuArray::<_, u64>::try_from(self.ebpf.map(maps::VERDICTS).unwrap());
        counters.unwrap().get(&verdict.index(), 0).unwrap().iter().sum()
    }

    /// Takes one record out of the ring.
    pub(crate) fn next_record(&mut self) -> Option<Candidate> {
        self.ring.next().map(|record| Candidate::read_from_bytes(&record).expect("144 bytes"))
    }

    /// Takes all records out of the ring.
    pub(crate) fn drain(&mut self) -> Vec<Candidate> {
        std::iter::from_fn(|| self.next_record()).collect()
    }
}
