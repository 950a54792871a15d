# What a machine runs. `card` and `tests` are on the kernel's command line. Each line that begins with `run:` names what
# follows, and each that begins with `result:` is of Rust's test harness.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp RUROCO_BIN_DIR=/run/payload/bin
card=$(sed -n 's/.*card=\([^ ]*\).*/\1/p' /proc/cmdline)
echo "release: $(uname -r)"
ip link set lo up

if [ "$card" = veth ]; then
    echo "run: loading"
    /run/payload/kernel loading:: --nocapture --test-threads 1
    echo "run: kernel"
    /run/payload/kernel --test-threads 1 --skip loading:: --skip differential
else
    # The cards are in these slots: the one under test, and its peer.
    for slot in 10:server0 11:client0; do
        device=$(ls -d /sys/bus/pci/devices/0000:00:${slot%%:*}.0/net/* /sys/bus/pci/devices/0000:00:${slot%%:*}.0/virtio*/net/* 2>/dev/null)
        ip link set "$(basename "$device")" name "${slot##*:}" || exit 1
    done
    echo "driver: $(ethtool -i server0 | sed -n 's/^driver: //p')"
    export RUROCO_NICS=1
fi
for mode in native generic auto; do
    echo "run: $mode"
    RUROCO_DRIVER_MODE=$mode /run/payload/end_to_end drivers:: --nocapture --test-threads 1
done
echo "run: end"
