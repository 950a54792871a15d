//! The program in the kernel, with its maps.

use std::net::IpAddr;

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
    programs::{TestRun, TestRunOptions, Xdp},
};
use ruroco::gate::program::OBJECT;
use ruroco_common::{
    address::Address,
    candidate::Candidate,
    datagram::KeyId,
    maps::{self, KeyEntry, Settings},
    verdict::Verdict,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::{KEY, OURS, PORT};

/// What the program tells the driver (`linux/bpf.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Drop = 1,
    Pass = 2,
}

/// The XDP program, loaded but not attached: every test has one of its own.
pub(crate) struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
}

impl Kernel {
    /// The program before the gate has filled its maps.
    pub(crate) fn unfilled() -> Self {
        assert!(!OBJECT.is_empty(), "there is no XDP program: run `cargo xtask build-ebpf`");
        let mut ebpf = EbpfLoader::new().load(OBJECT).expect("load the maps; are you root?");
        let program: &mut Xdp = ebpf.program_mut(maps::PROGRAM).unwrap().try_into().unwrap();
        program.load().expect("the kernel's verifier accepts the program");
        let ring = RingBuf::try_from(ebpf.take_map(maps::CANDIDATES).unwrap()).unwrap();
        Self { ebpf, ring }
    }

    /// The program with the one port, the addresses and the key of these tests.
    pub(crate) fn filled() -> Self {
        let mut kernel = Self::unfilled();
        kernel.set_port(PORT);
        OURS.into_iter().for_each(|address| kernel.add_address(address));
        kernel.add_key(KEY);
        kernel
    }

    pub(crate) fn set_port(&mut self, port: u16) {
        let map = self.ebpf.map_mut(maps::SETTINGS).unwrap();
        let mut settings = Array::<_, [u8; size_of::<Settings>()]>::try_from(map).unwrap();
        let value: [u8; size_of::<Settings>()] = zerocopy::transmute!(Settings { port });
        settings.set(0, value, 0).unwrap();
    }

    pub(crate) fn add_address(&mut self, address: IpAddr) {
        let map = self.ebpf.map_mut(maps::ADDRESSES).unwrap();
        let mut addresses = HashMap::<_, [u8; 16], u8>::try_from(map).unwrap();
        addresses.insert(Address::from(address).to_bytes(), 0, 0).unwrap();
    }

    fn keys(&mut self) -> HashMap<&mut MapData, [u8; 8], [u8; size_of::<KeyEntry>()]> {
        HashMap::try_from(self.ebpf.map_mut(maps::KEYS).unwrap()).unwrap()
    }

    pub(crate) fn add_key(&mut self, KeyId(id): KeyId) {
        let entry: [u8; size_of::<KeyEntry>()] = zerocopy::transmute!(KeyEntry { present: 1 });
        self.keys().insert(id, entry, 0).unwrap();
    }

    pub(crate) fn remove_key(&mut self, KeyId(id): KeyId) {
        self.keys().remove(&id).unwrap();
    }

    /// The verdict on a frame. That the action fits it, that it alone has been counted, and that
    /// the frame came out as it went in is checked on the way.
    pub(crate) fn judge(&self, frame: &[u8]) -> Verdict {
        self.judge_from(frame, None)
    }

    /// The verdict on a frame that came in on an interface of this network namespace.
    pub(crate) fn judge_from(&self, frame: &[u8], interface: Option<u32>) -> Verdict {
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
        let expected = if verdict == Verdict::NotOurs { Action::Pass } else { Action::Drop };
        assert_eq!(action, expected, "{verdict:?} for {frame:02x?}");
        verdict
    }

    fn run(&self, frame: &[u8], interface: Option<u32>) -> Action {
        let program: &Xdp = self.ebpf.program(maps::PROGRAM).unwrap().try_into().unwrap();
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
        assert!(out[..written] == *frame, "the frame was changed: {frame:02x?}");
        match result.return_value {
            1 => Action::Drop,
            2 => Action::Pass,
            other => panic!("action {other} for {frame:02x?}"),
        }
    }

    /// The counters in the order of the verdicts, summed over the CPUs.
    pub(crate) fn counters(&self) -> [u64; Verdict::ALL.len()] {
        let map = self.ebpf.map(maps::VERDICTS).unwrap();
        let counters = PerCpuArray::<_, u64>::try_from(map).unwrap();
        Verdict::ALL.map(|verdict| counters.get(&verdict.index(), 0).unwrap().iter().sum())
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
