# The jobs of the scenario with Sidekiq, as its workers load them. How a worker reaches the cluster
# its environment tells it.

require "json"
require "sidekiq"

reach = JSON.parse(ENV.fetch("MAYFLY_REACH"), symbolize_names: true)
Sidekiq.configure_client { |config| config.redis = reach }
Sidekiq.configure_server do |config|
  config.redis = reach
  # Looks for jobs that are due as often as that, in seconds.
  config.options[:poll_interval_average] = 0.2
end

# Leaves a trace of every run, and takes long enough to be in the hands of a worker.
class Count
  include Sidekiq::Worker

  def perform(number)
    sleep 0.01
    Sidekiq.redis { |connection| connection.hincrby("runs", number, 1) }
  end
end

class FailAtFirst
  include Sidekiq::Worker
  sidekiq_options retry: 5
  sidekiq_retry_in { 1 }

  def perform(number)
    tries = Sidekiq.redis { |connection| connection.hincrby("failures", number, 1) }
    raise "this is meant to happen once" if tries == 1
    Sidekiq.redis { |connection| connection.hincrby("runs", number, 1) }
  end
end
