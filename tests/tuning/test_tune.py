"""The tuner on a fake root folder: what it finds, writes, keeps and restores.

    python3 -m unittest discover tests/tuning
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tuning"))

from tuner import bench, change, limits, main, settings  # noqa: E402
from tuner.journal import Journal  # noqa: E402
from tuner.machine import Machine, Refused, parse_cpu_list  # noqa: E402

SOMAXCONN = "/proc/sys/net/core/somaxconn"
SWAPPINESS = "/proc/sys/vm/swappiness"
HUGE = "/sys/kernel/mm/transparent_hugepage/enabled"
AS_FOUND = {
    "/proc/sys/kernel/random/boot_id": "boot-1",
    "/proc/sys/kernel/io_uring_disabled": "0",
    SOMAXCONN: "128",
    SWAPPINESS: "60",
    HUGE: "[always] madvise never",
    "/sys/devices/system/cpu/online": "0-7",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
    "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance",
}


class WithRoot(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for path, text in AS_FOUND.items():
            self.put(path, text)
        self.machine = Machine(self.root)
        self.journal = Journal(self.machine)

    def put(self, path, text):
        file = self.machine_path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def machine_path(self, path):
        return self.root / path.lstrip("/")

    def everything(self):
        """The text of every file, but the journal's."""
        return {
            str(file.relative_to(self.root)): file.read_text()
            for file in self.root.rglob("*")
            if file.is_file() and "mayfly-tune" not in str(file)
        }

    def tune(self, *arguments):
        """(exit code, what was printed) of one run within this process."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = main.main(["--root", str(self.root), *arguments])
        return code, printed.getvalue()


class Comparisons(unittest.TestCase):
    def test_each_operator(self):
        cases = [
            ("128", ">= 4096", False),
            ("4096", ">= 4096", True),
            ("60", "<= 10", False),
            ("10", "<= 10", True),
            ("tsc", "in tsc kvm-clock", True),
            ("hpet", "in tsc kvm-clock", False),
            ("max 100000", "in max", True),
            ("50000 100000", "in max", False),
            ("0", "= 0", True),
            ("1", "= 0", False),
            ("1", "!= 0", True),
            ("always [madvise] never", "selected madvise never", True),
            ("[always] madvise never", "selected madvise never", False),
            ("", ">= 1", False),
            ("many", ">= 1", False),
        ]
        for text, want, expected in cases:
            self.assertIs(settings.is_as_wanted(text, want), expected, (text, want))
        with self.assertRaises(settings.Malformed):
            settings.is_as_wanted("1", "about 2")

    def test_masks_of_cpus(self):
        self.assertEqual(settings.mask_text([0]), "1")
        self.assertEqual(settings.mask_text(range(1, 8)), "fe")
        self.assertEqual(settings.mask_text([0, 33]), "2,00000001")
        for cpus in ([0], [31], [32], [0, 5, 64], range(100)):
            value = settings.mask_value(settings.mask_text(cpus))
            self.assertEqual(value, sum(1 << cpu for cpu in cpus))
        self.assertEqual(parse_cpu_list("0-2,5"), [0, 1, 2, 5])

    def test_the_file_of_settings_holds_what_it_says(self):
        names = [each.name for each in settings.load()]
        self.assertEqual(len(names), len(set(names)))
        for each in settings.load():
            self.assertTrue(each.why)
            self.assertTrue(each.risk or each.advice)
            if each.to_set is not None and not each.want.startswith("selected"):
                self.assertTrue(settings.is_as_wanted(each.to_set, each.want), each.name)
        mitigations = [each.path for each in settings.load() if "vulnerab" in each.path]
        self.assertEqual(mitigations, [])

    def test_the_readme_tells_every_setting(self):
        readme = (TOP / "tuning" / "README.md").read_text()
        for each in settings.load():
            self.assertIn(f"| `{each.name}` ", readme)

    def test_a_broken_file_is_told(self):
        for text in ("[x]\npath = /x\n", "[x]\npath=/x\nwant== 1\nprofiles=wild\nneed=wanted\n"
                     "why=w\nadvice=a\n"):
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(text)
                file.flush()
                with self.assertRaises(settings.Malformed):
                    settings.load(file.name)

    def test_profiles_contain_each_other(self):
        safe, latency, dedicated = (
            {each.name for each in settings.select(name)} for name in settings.PROFILES)
        self.assertLess(safe, latency)
        self.assertLess(latency, dedicated)


    def test_a_mask_is_the_same_however_many_zeros_lead_it(self):
        for shown, written in [("001", "1"), ("00000000,00000001", "1"), ("2,00000001",) * 2,
                               ("00", "0"), ("[always] never", "always")]:
            self.assertTrue(change.same(shown, written), (shown, written))
        for shown, written in [("10", "1"), ("2,00000001", "3"), (None, "1"), ("a b", "ab")]:
            self.assertFalse(change.same(shown, written), (shown, written))


class Check(WithRoot):
    def test_it_counts_required_failures_and_writes_nothing(self):
        before = self.everything()
        code, text = self.tune("check")
        self.assertEqual(code, 0)
        self.assertIn("warn net.core.somaxconn: 128", text)
        self.assertIn("not on this machine:", text)
        self.put("/proc/sys/kernel/io_uring_disabled", "2")
        before["proc/sys/kernel/io_uring_disabled"] = "2\n"
        code, text = self.tune("check", "--json", "--only", "kernel.io_uring_disabled")
        self.assertEqual(code, 1)
        self.assertFalse(json.loads(text)["checks"][0]["ok"])
        self.assertEqual(self.everything(), before)

    def test_unknown_names_are_refused(self):
        with self.assertRaisesRegex(SystemExit, "no setting is called 'turbo'"):
            self.tune("check", "--only", "turbo")

    def test_a_peer_that_is_not_there_is_told(self):
        with self.assertRaisesRegex(SystemExit, "cannot be measured"):
            self.tune("check", "--peer", "127.0.0.1:1")


class ApplyAndUndo(WithRoot):
    def test_everything_is_restored(self):
        before = self.everything()
        code, text = self.tune("apply", "--profile", "dedicated")
        self.assertEqual(code, 0, text)
        self.assertEqual(self.machine.read(SOMAXCONN), "4096")
        self.assertEqual(self.machine.read(SWAPPINESS), "1")
        self.assertNotEqual(self.everything(), before)
        code, text = self.tune("status")
        self.assertIn("/proc/sys/vm/swappiness: 60 -> 1, in force", text)
        code, text = self.tune("undo")
        self.assertEqual(code, 0, text)
        self.assertEqual(self.machine.read(SWAPPINESS), "60")
        # The kernel would show the list again; a plain file shows the word that was written.
        self.assertEqual(self.machine.read(HUGE), "always")
        self.put(HUGE, AS_FOUND[HUGE])
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.tune("undo")[1].strip(), "nothing to restore: nothing was applied")

    def test_nothing_to_undo_leaves_nothing_behind(self):
        self.assertEqual(self.tune("undo")[0], 0)
        self.assertFalse(self.journal.file.parent.exists())

    def test_a_second_apply_keeps_the_first_old_value(self):
        self.tune("apply")
        # What the kernel shows where a plain file shows what was written.
        self.put(HUGE, "always [madvise] never")
        code, text = self.tune("apply")
        self.assertEqual((code, text), (0, "nothing to do: every setting is as wanted\n"))
        self.put(SWAPPINESS, "30")
        self.tune("apply")
        self.tune("undo")
        self.assertEqual(self.machine.read(SWAPPINESS), "60")

    def test_the_plan_is_what_apply_does(self):
        _, plan = self.tune("plan", "--json", "--profile", "latency")
        planned = {each["path"]: each["new"] for each in json.loads(plan)["commands"]}
        _, done = self.tune("apply", "--json", "--profile", "latency")
        paths = [each["path"] for each in json.loads(done)["outcomes"]]
        self.assertEqual(list(planned), paths)
        for path, value in planned.items():
            self.assertEqual(self.machine.read(path), value)
        # One governor was as wanted already.
        self.assertEqual([path for path in paths if "cpufreq" in path],
                         ["/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"])

    def test_the_plan_is_a_script(self):
        _, plan = self.tune("plan")
        syntax = subprocess.run(["sh", "-n"], input=plan, text=True, capture_output=True)
        self.assertEqual(syntax.returncode, 0, syntax.stderr)
        self.assertIn(f"echo 4096 > {SOMAXCONN}  # 128", plan)

    def test_skip_leaves_a_setting_alone(self):
        self.tune("apply", "--skip", "vm.swappiness")
        self.assertEqual(self.machine.read(SWAPPINESS), "60")
        self.assertEqual(self.machine.read(SOMAXCONN), "4096")

    def test_what_somebody_else_changed_is_left(self):
        self.tune("apply")
        self.put(SWAPPINESS, "20")
        code, text = self.tune("undo")
        self.assertEqual(code, 1)
        self.assertIn("by somebody else", text)
        self.assertEqual(self.machine.read(SWAPPINESS), "20")
        self.assertEqual(self.machine.read(SOMAXCONN), "128")
        code, _ = self.tune("undo", "--force")
        self.assertEqual((code, self.machine.read(SWAPPINESS)), (0, "60"))

    def test_a_reboot_ends_what_was_applied(self):
        self.tune("apply")
        for path in (SOMAXCONN, SWAPPINESS, HUGE):
            self.put(path, AS_FOUND[path])
        self.put("/proc/sys/kernel/random/boot_id", "boot-2")
        self.assertEqual(self.journal.changes(), [])
        code, text = self.tune("undo")
        self.assertEqual(code, 0)
        self.assertIn("ended with the last reboot", text)
        self.assertFalse(self.journal.file.exists())

    def test_what_the_machine_refuses_is_told_and_the_rest_is_done(self):
        class Stubborn(Machine):
            def write(self, path, value):
                if path == SWAPPINESS:
                    raise Refused("not permitted")
                super().write(path, value)

        stubborn = Stubborn(self.root)
        outcomes = list(change.apply(stubborn, self.journal, settings.select("safe")))
        failed = [each.path for each in outcomes if each.what == "failed"]
        self.assertEqual(failed, [SWAPPINESS])
        self.assertEqual(self.machine.read(SOMAXCONN), "4096")
        undone = {each.path: each.what for each in change.undo(self.machine, self.journal)}
        self.assertEqual((undone[SWAPPINESS], undone[SOMAXCONN]), ("kept", "done"))

    def test_a_kill_at_any_moment_can_be_undone(self):
        before = self.everything()

        class Killed(BaseException):
            pass

        class Mortal(Machine):
            """Dies at its n-th write: before it, or half way through it."""

            def write(mortal, path, value):
                mortal.lives -= 1
                if mortal.lives == 0:
                    if mortal.is_late:
                        super().write(path, value)
                    raise Killed
                super().write(path, value)

        count = len(change.to_change(self.machine, settings.select("latency")))
        self.assertGreater(count, 3)
        for lives in range(1, count + 1):
            for is_late in (False, True):
                mortal = Mortal(self.root)
                mortal.lives, mortal.is_late = lives, is_late
                with self.assertRaises(Killed):
                    list(change.apply(mortal, self.journal, settings.select("latency")))
                code, text = self.tune("undo")
                self.assertEqual(code, 0, text)
                self.put(HUGE, AS_FOUND[HUGE])
                self.assertEqual(self.everything(), before, (lives, is_late))

    def test_a_line_that_was_cut_short_is_no_change(self):
        self.tune("apply", "--only", "vm.swappiness")
        with open(self.journal.file, "a") as file:
            file.write('{"boot": "boot-1", "name": "net.core.som')
        self.assertEqual([each["name"] for each in self.journal.changes()], ["vm.swappiness"])
        self.tune("apply")
        self.assertEqual(self.tune("undo")[0], 0)
        self.assertEqual(self.machine.read(SOMAXCONN), "128")


class NetworkCards(WithRoot):
    def setUp(self):
        super().setUp()
        device = self.root / "sys/devices/pci0/virtio3"
        device.mkdir(parents=True)
        for irq in ("41", "42"):
            self.put(f"/sys/devices/pci0/msi_irqs/{irq}", "msix")
            self.put(f"/proc/irq/{irq}/smp_affinity", "ff")
        self.put("/proc/irq/7/smp_affinity", "ff")
        self.put("/sys/class/net/eth0/queues/rx-0/rps_cpus", "00")
        self.put("/sys/class/net/lo/queues/rx-0/rps_cpus", "00")
        os.symlink(device, self.root / "sys/class/net/eth0/device")

    def test_only_their_interrupts_move_and_come_back(self):
        self.tune("apply", "--profile", "dedicated")
        read = self.machine.read
        self.assertEqual(read("/proc/irq/41/smp_affinity"), "1")
        self.assertEqual(read("/proc/irq/42/smp_affinity"), "1")
        self.assertEqual(read("/proc/irq/7/smp_affinity"), "ff")
        self.assertEqual(read("/sys/class/net/eth0/queues/rx-0/rps_cpus"), "fe")
        self.assertEqual(read("/sys/class/net/lo/queues/rx-0/rps_cpus"), "00")
        self.tune("undo")
        self.assertEqual(read("/proc/irq/41/smp_affinity"), "ff")
        self.assertEqual(read("/sys/class/net/eth0/queues/rx-0/rps_cpus"), "00")

    def test_a_small_machine_keeps_its_interrupts_where_they_are(self):
        self.put("/sys/devices/system/cpu/online", "0-1")
        self.tune("apply", "--profile", "dedicated")
        self.assertEqual(self.machine.read("/proc/irq/41/smp_affinity"), "ff")
        self.assertEqual(self.machine.read("/sys/class/net/eth0/queues/rx-0/rps_cpus"), "00")


class Timing(unittest.TestCase):
    def test_stolen_time(self):
        before = "cpu  100 0 100 800 0 0 0 0 0 0"
        after = "cpu  150 0 100 840 0 0 0 10 0 0"
        self.assertEqual(limits.steal(before, after), 10.0)
        self.assertEqual(limits.steal(before, before), 0.0)

    def test_percentiles(self):
        self.assertEqual(limits.percentile([], 0.99), 0.0)
        self.assertEqual(limits.percentile([3, 1, 2], 0.5), 2)
        self.assertEqual(limits.percentile(list(range(1, 101)), 0.99), 99)
        self.assertEqual(limits.percentile([5], 0.999), 5)

    def test_advice_grows_with_distance_and_jitter(self):
        self.assertEqual(limits.advice(0.2, 0.1), (50, 400))
        heartbeat, election = limits.advice(80, 2)
        self.assertEqual((heartbeat, election), (122, 976))
        self.assertEqual(limits.advice(1, 90), (92, 910))


class Bench(unittest.TestCase):
    def test_verdicts_need_every_round_and_more_than_noise(self):
        cases = [
            ([1.10, 1.12, 1.08], True, "better"),
            ([1.10, 1.12, 0.99], True, "no effect"),
            ([1.02, 1.02, 1.01], True, "no effect"),
            ([0.80, 0.85, 0.90], True, "worse"),
            ([0.80, 0.85, 0.90], False, "better"),
            ([1.50, 1.40, 1.20], False, "worse"),
        ]
        for ratios, more_is_better, expected in cases:
            self.assertEqual(bench.verdict(ratios, more_is_better), expected, ratios)

    def test_halves_of_the_cpus(self):
        self.assertEqual(bench.halves({0, 1}), ({0}, {1}))
        self.assertEqual(bench.halves({0, 1, 2}), ({0, 1}, {2}))
        self.assertEqual(bench.halves({3}), ({3}, {3}))


class CommandLine(unittest.TestCase):
    def test_it_runs_as_a_program(self):
        tune = TOP / "tuning" / "tune"
        helped = subprocess.run([tune, "--help"], capture_output=True, text=True)
        self.assertEqual(helped.returncode, 0)
        self.assertIn("undo", helped.stdout)
        wrong = subprocess.run([tune, "check", "--peer", "nowhere"], capture_output=True, text=True)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("'nowhere' is not HOST:PORT", wrong.stderr)


if __name__ == "__main__":
    unittest.main()
