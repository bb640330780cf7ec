# What scenarios in Ruby share. Usage of each: SCENARIO.rb PORT.. SENTINEL_PORT.., three of each,
# the leader's first

FOLDER = __dir__
PORTS, SENTINEL_PORTS = ARGV.map { |port| Integer(port) }.each_slice(3).to_a

# One server in the place of three has no Sentinel.
IS_STAND_IN = PORTS[0] == PORTS[1]

def say(text)
  puts text
  $stdout.flush
end

def expect(actual, expected)
  raise "expected #{expected.inspect}, got #{actual.inspect}" unless actual == expected
end

# Returns what the block returns when that is true.
def wait_until(what, seconds = 90)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
  until (found = yield)
    late = Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    raise "#{what}: not within #{seconds} seconds" if late
    sleep 0.02
  end
  found
end

# How redis-rb reaches one node, and goes on when that has been started again.
def at(position)
  { url: "redis://127.0.0.1:#{PORTS[position]}", **patience }
end

# How it reaches whoever leads.
def at_leader
  return at(1) if IS_STAND_IN
  sentinels = SENTINEL_PORTS.map { |port| { host: "127.0.0.1", port: port } }
  { url: "redis://mymaster", sentinels: sentinels, role: :master, **patience }
end

def patience
  { reconnect_attempts: 12, reconnect_delay: 0.05, reconnect_delay_max: 0.5 }
end
