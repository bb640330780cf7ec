# Sidekiq: a worker that follows the leader by Sentinel and one at a node that stays, and the leader
# dies while they work. Jobs are plain, put off, and raise an error when they first run. Then each
# node is restarted in peace while jobs come, for the worker that follows the leader.
#
# A worker fetches with BRPOP, which takes a job out of its queue: one whose BRPOP was answered by a
# node that died with the answer is lost to Sidekiq on any server (its commercial edition fetches in
# another way). So the worker at the dying leader may lose one job for each of its threads. Whoever
# sent them sends them again. A node that is stopped in peace answers what it has taken: no job is
# lost then.

require "json"
require "rbconfig"
require_relative "common"

JOBS = 150
DELAYED = 10
RETRIED = 10
THREADS = 3

ENV["MAYFLY_REACH"] = JSON.generate(at_leader)
require_relative "sidekiq_jobs"
require "sidekiq/api"

# A worker that does not outlive this program.
class Worker
  def initialize(reach)
    command = [
      "setpriv", "--pdeathsig", "KILL", "--", RbConfig.ruby, "-S", "sidekiq",
      "-q", "default", "-c", THREADS.to_s, "-t", "5", "-r", "#{FOLDER}/sidekiq_jobs.rb"
    ]
    @id = spawn({ "MAYFLY_REACH" => JSON.generate(reach) }, *command, out: :err)
  end

  def running?
    Process.waitpid(@id, Process::WNOHANG).nil?
  end

  # As a service manager ends it.
  def stop
    Process.kill("TERM", @id)
    Process.waitpid(@id)
    expect($?.success?, true)
  end
end

def runs
  Sidekiq.redis { |connection| connection.hgetall("runs") }
end

def idle?
  [Sidekiq::Queue.new, Sidekiq::ScheduledSet.new, Sidekiq::RetrySet.new].sum(&:size).zero?
end

def send_jobs
  JOBS.times { |number| Count.perform_async(number) }
  DELAYED.times { |number| Count.perform_in(1.5, JOBS + number) }
  RETRIED.times { |number| FailAtFirst.perform_async(JOBS + DELAYED + number) }
end

# Waits for what the workers still have, and sends again what none of them has.
def settle
  all = JOBS + DELAYED + RETRIED
  # Sidekiq puts retries off by up to ten seconds more than it is told. Some come by themselves; the
  # others are put into the queue as its page for operators does.
  wait_until("some retries") { runs.count { |number, _| number.to_i >= JOBS + DELAYED } > 1 }
  wait_until("an empty queue") { Sidekiq::RetrySet.new.retry_all || idle? }
  seen = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  wait_until("the last jobs") do
    runs.size == all || (idle? && Process.clock_gettime(Process::CLOCK_MONOTONIC) - seen > 3)
  end
  lost = (0...all).to_a - runs.keys.map(&:to_i)
  raise "lost: #{lost}" if lost.size > THREADS
  lost.each do |number|
    say "#{number} was lost and is sent again"
    Count.perform_async(number)
  end
  wait_until("all jobs") { runs.size == all }
end

# Sends jobs until all nodes have been restarted, slower than they are done: so the worker mostly
# waits for one.
def roll
  say "restart each node"
  first = JOBS + DELAYED + RETRIED
  number = first
  until Sidekiq.redis { |connection| connection.get("rolled") }
    Count.perform_async(number)
    number += 1
    sleep 0.01
  end
  begin
    wait_until("all jobs", 10) { runs.size == number }
  rescue RuntimeError => error
    raise "#{error.message}: #{(0...number).to_a - runs.keys.map(&:to_i)} are lost"
  end
  say "#{number - first} jobs while each node was restarted"
end

def check_runs
  failures = Sidekiq.redis { |connection| connection.hvals("failures") }.map(&:to_i)
  expect(failures.size, RETRIED)
  twice = runs.count { |_, count| count.to_i > 1 }
  say "#{runs.size} jobs, #{twice} of them more than once, #{failures.sum} failures"
  # A command whose answer was lost with its node redis-rb sends once more.
  raise "#{twice} jobs ran more than once" if twice > THREADS
  expect(failures.all? { |count| (2..3).cover?(count) }, true)
end

def main
  Sidekiq.redis(&:flushall)
  workers = [Worker.new(at_leader), Worker.new(at(2))]
  wait_until("both workers") { Sidekiq::ProcessSet.new.size == 2 }
  send_jobs
  wait_until("a third of the jobs") { runs.size > JOBS / 3 }
  say "kill the leader"
  settle
  check_runs
  expect(workers.all?(&:running?), true)
  workers.pop.stop
  roll
  expect(workers.all?(&:running?), true)
  expect(Sidekiq::DeadSet.new.size, 0)
  workers.each(&:stop)
  # They tell their counts when they end.
  stats = Sidekiq::Stats.new
  expect([stats.failed >= RETRIED, stats.processes_size], [true, 0])
  say "all passed"
end

main
