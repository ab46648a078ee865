"""Numbers of system calls: name, on x86-64, on aarch64 (None: there is none).

From the kernel's `unistd_64.h` and `asm-generic/unistd.h`; a test compares them with libseccomp's.
"""

from __future__ import annotations

_X86_64, _AARCH64 = "x86_64", "aarch64"

# What looks into or steers other processes, the kernel, its clocks or its mounts; what asks it
# for work that it does past this filter; what has often been a way out.
FORBIDDEN = """
ptrace 101 117
process_vm_readv 310 270
process_vm_writev 311 271
process_madvise 440 440
process_mrelease 448 448
kcmp 312 272
pidfd_getfd 438 438
add_key 248 217
request_key 249 218
keyctl 250 219
io_uring_setup 425 425
io_uring_enter 426 426
io_uring_register 427 427
bpf 321 280
perf_event_open 298 241
userfaultfd 323 282
fanotify_init 300 262
lookup_dcookie 212 18
mount 165 40
umount2 166 39
pivot_root 155 41
chroot 161 51
open_tree 428 428
move_mount 429 429
fsopen 430 430
fsconfig 431 431
fsmount 432 432
fspick 433 433
mount_setattr 442 442
statmount 457 457
listmount 458 458
open_tree_attr 467 467
unshare 272 97
setns 308 268
name_to_handle_at 303 264
open_by_handle_at 304 265
personality 135 92
uselib 134 -
modify_ldt 154 -
init_module 175 105
finit_module 313 273
delete_module 176 106
create_module 174 -
query_module 178 -
get_kernel_syms 177 -
kexec_load 246 104
kexec_file_load 320 294
reboot 169 142
swapon 167 224
swapoff 168 225
acct 163 89
quotactl 179 60
quotactl_fd 443 443
syslog 103 116
vhangup 153 58
nfsservctl 180 42
iopl 172 -
ioperm 173 -
settimeofday 164 170
clock_settime 227 112
clock_adjtime 305 266
adjtimex 159 171
sethostname 170 161
setdomainname 171 162
migrate_pages 256 238
move_pages 279 239
memfd_secret 447 447
vmsplice 278 75
"""

# Looked at by their arguments.
EXAMINED = """
clone 56 220
clone3 435 435
socket 41 198
socketpair 53 199
ioctl 16 29
"""

# Memory and messages shared by all processes, where they have no namespace of their own; and ways
# out of the process group, by which everything in a sandbox is ended.
SHARED = """
shmget 29 194
shmat 30 196
shmctl 31 195
msgget 68 186
msgsnd 69 189
msgrcv 70 188
msgctl 71 187
semget 64 190
semop 65 193
semctl 66 191
semtimedop 220 192
mq_open 240 180
mq_unlink 241 181
setsid 112 157
setpgid 109 154
"""

# Landlock does not see these, and the files may belong to the grader's own user.
OWNERSHIP = """
chmod 90 -
fchmod 91 52
fchmodat 268 53
fchmodat2 452 452
chown 92 -
fchown 93 55
lchown 94 -
fchownat 260 54
utime 132 -
utimes 235 -
futimesat 261 -
utimensat 280 88
setxattr 188 5
lsetxattr 189 6
fsetxattr 190 7
removexattr 197 14
lremovexattr 198 15
fremovexattr 199 16
setxattrat 463 463
removexattrat 466 466
setpriority 141 140
ioprio_set 251 30
"""

# Name a process by their first argument; 0 is the caller.
STEERING = """
prlimit64 302 261
sched_setaffinity 203 122
sched_setparam 142 118
sched_setscheduler 144 119
sched_setattr 314 274
"""


def _read(group: str) -> dict[str, dict[str, int]]:
    tables: dict[str, dict[str, int]] = {_X86_64: {}, _AARCH64: {}}
    for line in group.split("\n"):
        if not line:
            continue
        name, *numbers = line.split()
        for machine, number in zip(tables, numbers, strict=True):
            if number != "-":
                tables[machine][name] = int(number)
    return tables


def numbers(group: str, machine: str) -> dict[str, int]:
    """The calls of a group that a machine has, by name.

    Args:
        group: One of the tables above.
        machine: `x86_64` or `aarch64`.
    """
    return _read(group)[machine]
