#!/bin/sh
# The first program in the machine: it mounts the file system that all machines share, runs the tests there, and ends the
# machine.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for module in virtio_pci virtio_blk ext4 virtio_rng; do
    /sbin/modprobe $module 2>/dev/null
done
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/vda ] && break
    $B sleep 0.2
done
$B mount -t ext4 /dev/vda /root || { $B echo "no root file system"; $B poweroff -f; }
$B mount -t proc proc /root/proc
$B mount -t sysfs sys /root/sys
$B mount -t devtmpfs dev /root/dev
$B mkdir -p /root/dev/pts /root/dev/shm
$B mount -t devpts devpts /root/dev/pts
$B mount -t tmpfs shm /root/dev/shm
$B mount -t tmpfs tmp /root/tmp
$B mount -t tmpfs run /root/run
$B mount -t bpf bpf /root/sys/fs/bpf
$B mount -t cgroup2 none /root/sys/fs/cgroup
$B mkdir -p /root/run/payload
$B mount --bind /payload /root/run/payload
$B chroot /root /bin/sh /run/payload/script
$B poweroff -f
