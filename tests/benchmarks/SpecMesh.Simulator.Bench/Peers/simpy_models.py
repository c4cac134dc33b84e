"""The two models of the benchmark in SimPy, as its own documentation would write them. Prints a line for each segment: model, events of the model, CPU seconds, what came out."""
import random
import sys
import time

import simpy

SERVERS = 1024


class Queue:
    """M/M/c: an arrival and a departure for each customer."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.env = simpy.Environment()
        self.servers = simpy.Resource(self.env, SERVERS)
        self.events = 0
        self.waited = 0.0
        self.served = 0
        self.env.process(self.arrivals())

    def arrivals(self):
        rate = SERVERS * 0.9 / 100.0
        while True:
            yield self.env.timeout(self.random.expovariate(rate))
            self.events += 1
            self.env.process(self.customer())

    def customer(self):
        came = self.env.now
        with self.servers.request() as turn:
            yield turn
            self.waited += self.env.now - came
            self.served += 1
            yield self.env.timeout(self.random.expovariate(1 / 100.0))
            self.events += 1

    def segment(self, customers):
        self.env.run(until=self.env.now + customers / (SERVERS * 0.9 / 100.0))

    def outcome(self):
        return self.waited / self.served


class Launches:
    """Launches with failures, back-off and retry."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.env = simpy.Environment()
        self.down = [False] * SERVERS
        self.failures = [0] * SERVERS
        self.events = 0
        self.attempts = 0
        self.finished = 0
        for server in range(SERVERS):
            self.env.process(self.server(server))

    def server(self, server):
        draw = self.random
        if draw.random() < 0.2:
            self.down[server] = True
            yield self.env.timeout(200 * (1 - draw.random() ** 0.5))
            self.events += 1
        while True:
            self.down[server] = False
            yield self.env.timeout(draw.expovariate(1 / 400.0))
            self.events += 1
            self.down[server] = True
            self.failures[server] += 1
            yield self.env.timeout(draw.uniform(0, 200))
            self.events += 1

    def arrivals(self, launches):
        running = []
        for _ in range(launches):
            yield self.env.timeout(self.random.expovariate(20.0))
            self.events += 1
            running.append(self.env.process(self.launch()))
        for process in running:
            yield process

    def launch(self):
        draw = self.random
        while True:
            self.attempts += 1
            server = int(draw.random() * SERVERS)
            if self.down[server]:
                yield self.env.timeout(5)
                self.events += 1
            else:
                before = self.failures[server]
                yield self.env.timeout(30 + draw.expovariate(1 / 60.0))
                self.events += 1
                if self.failures[server] == before:
                    self.finished += 1
                    return
            yield self.env.timeout(draw.expovariate(1 / 30.0))
            self.events += 1

    def segment(self, launches):
        self.env.run(until=self.env.process(self.arrivals(launches)))

    def outcome(self):
        return self.attempts / self.finished


def main():
    name, size, segments = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    model = {"queue": Queue, "launches": Launches}[name](1)
    for _ in range(segments):
        events, started = model.events, time.process_time()
        model.segment(size)
        print(name, model.events - events, time.process_time() - started, model.outcome(), flush=True)


main()
