<?php
// What the scenarios in PHP share. Usage of each: SCENARIO.php PORT.. SENTINEL_PORT.., three of
// each, the leader's first

set_error_handler(function (int $level, string $text, string $file, int $line) {
    if ($level === E_DEPRECATED) {
        // What an older library uses is not what is looked at here.
        return true;
    }
    throw new ErrorException($text, 0, $level, $file, $line);
});

const WAIT_SECONDS = 90;

define('PORTS', array_map(intval(...), array_slice($argv, 1, 3)));
define('SENTINEL_PORTS', array_map(intval(...), array_slice($argv, 4, 3)));

// One server in the place of three has no Sentinel.
define('IS_STAND_IN', PORTS[0] === PORTS[1]);

function say(string $text): void
{
    fwrite(STDOUT, "$text\n");
}

function expect(mixed $actual, mixed $expected): void
{
    if ($actual !== $expected) {
        throw new Exception(
            'expected ' . var_export($expected, true) . ', got ' . var_export($actual, true));
    }
}

/** Returns what the condition returns when that is true. */
function wait_until(string $what, callable $condition): mixed
{
    $deadline = hrtime(true) + WAIT_SECONDS * 1_000_000_000;
    while (!($found = $condition())) {
        if (hrtime(true) > $deadline) {
            throw new Exception("$what: not within " . WAIT_SECONDS . ' seconds');
        }
        usleep(20_000);
    }
    return $found;
}

/** Another process of the same program, which does not outlive this one. */
class Process
{
    private $process;
    private array $pipes = [];

    public function __construct(string $script, array $arguments)
    {
        $command = ['setpriv', '--pdeathsig', 'KILL', '--', PHP_BINARY, __DIR__ . "/$script"];
        $command = [...$command, ...PORTS, ...SENTINEL_PORTS, ...$arguments];
        $command = array_map(strval(...), $command);
        $this->process = proc_open($command, [1 => STDERR, 2 => STDERR], $this->pipes);
    }

    /** Waits for its end, which has to be a good one. */
    public function finish(): void
    {
        $status = wait_until('the end of a process', function () {
            $status = proc_get_status($this->process);
            return $status['running'] ? null : $status;
        });
        expect($status['exitcode'], 0);
    }
}
