"""Which step on this machine has which GPU: leases that the kernel ends when their holder dies.

One folder of the machine is common to all flow runs, workers and users. A step that wants devices puts a ticket into
its queue; a step that has them keeps a lease there. Both are files that their owner holds locked, so whoever finds one
unlocked knows that its owner is gone, whatever is written on it.

records.py        what tickets and leases say
locked_files.py   files that count for as long as they are locked
folder.py         where the machine keeps them
allotting.py      who gets what: arithmetic, first come first served
lease_table.py    tickets and leases of the whole machine
device_queue.py   where the threads of one process wait
devices.py        the GPUs: the driver's, made-up ones for tests, and those that CUDA_VISIBLE_DEVICES leaves
nvml.py           what the driver of NVIDIA says
"""
