// The two models of the benchmark on ns-3's simulator: plain functions as events, no nodes. Random numbers are ns-3's own, or bare ones that cost next to nothing.
// Usage: ns3_models MODEL SIZE SEGMENTS SCHEDULER own|bare. Prints a line for each segment: model, events, CPU seconds, what came out.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <vector>

#include <ns3/core-module.h>

using namespace ns3;

namespace {

constexpr int kServers = 1024;

// xoshiro256++ (Blackman and Vigna, public domain).
uint64_t state[4] = {0x9E3779B97F4A7C15ull, 0xBF58476D1CE4E5B9ull, 0x94D049BB133111EBull, 1};

inline uint64_t Rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

inline uint64_t Bits() {
    const uint64_t result = Rotate(state[0] + state[3], 23) + state[0];
    const uint64_t t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = Rotate(state[3], 45);
    return result;
}

bool bare;
Ptr<UniformRandomVariable> uniform;
Ptr<ExponentialRandomVariable> exponential;

inline double Uniform() { return bare ? ((Bits() >> 12) + 0.5) * 0x1p-52 : uniform->GetValue(0, 1); }
inline double Exponential(double mean) { return bare ? -mean * std::log(Uniform()) : exponential->GetValue(mean, 0); }
inline Time InSeconds(double seconds) { return NanoSeconds(static_cast<int64_t>(seconds * 1e9)); }

uint64_t events;

// M/M/c.
const double kGapS = 100.0 / (kServers * 0.9);
int busy;
std::deque<int64_t> waiting;
uint64_t served;
double waitedS;

void Depart();

void Serve(int64_t arrivedNs) {
    served++;
    waitedS += (Simulator::Now().GetNanoSeconds() - arrivedNs) * 1e-9;
    Simulator::Schedule(InSeconds(Exponential(100.0)), &Depart);
}

void Arrive() {
    events++;
    Simulator::Schedule(InSeconds(Exponential(kGapS)), &Arrive);
    const int64_t nowNs = Simulator::Now().GetNanoSeconds();
    if (busy < kServers) {
        busy++;
        Serve(nowNs);
    } else {
        waiting.push_back(nowNs);
    }
}

void Depart() {
    events++;
    if (waiting.empty()) {
        busy--;
        return;
    }
    const int64_t arrivedNs = waiting.front();
    waiting.pop_front();
    Serve(arrivedNs);
}

// Launches with failures.
bool down[kServers];
uint32_t failures[kServers];
uint64_t attempts;
uint64_t finished;
long arrivalsLeft;
long unfinished;

void Attempt();

void Heal(int server);

void Fail(int server) {
    events++;
    down[server] = true;
    failures[server]++;
    Simulator::Schedule(InSeconds(200.0 * Uniform()), &Heal, server);
}

void Heal(int server) {
    events++;
    down[server] = false;
    Simulator::Schedule(InSeconds(Exponential(400.0)), &Fail, server);
}

void Retry() {
    events++;
    Attempt();
}

void Refused() {
    events++;
    Simulator::Schedule(InSeconds(Exponential(30.0)), &Retry);
}

void Booted(int server, uint32_t before) {
    events++;
    if (failures[server] != before) {
        Simulator::Schedule(InSeconds(Exponential(30.0)), &Retry);
        return;
    }
    finished++;
    if (--unfinished == 0) {
        Simulator::Stop();
    }
}

void Attempt() {
    attempts++;
    const int server = static_cast<int>(Uniform() * kServers);
    if (down[server]) {
        Simulator::Schedule(Seconds(5), &Refused);
    } else {
        Simulator::Schedule(InSeconds(30.0 + Exponential(60.0)), &Booted, server, failures[server]);
    }
}

void Launch() {
    events++;
    if (--arrivalsLeft > 0) {
        Simulator::Schedule(InSeconds(Exponential(1.0 / 20)), &Launch);
    }
    Attempt();
}

double CpuSeconds() {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: %s queue|launches SIZE SEGMENTS SCHEDULER own|bare\n", argv[0]);
        return 64;
    }
    const bool isQueue = std::strcmp(argv[1], "queue") == 0;
    const long size = std::atol(argv[2]);
    bare = std::strcmp(argv[5], "bare") == 0;
    uniform = CreateObject<UniformRandomVariable>();
    exponential = CreateObject<ExponentialRandomVariable>();
    ObjectFactory scheduler;
    scheduler.SetTypeId(std::string("ns3::") + argv[4] + "Scheduler");
    Simulator::SetScheduler(scheduler);
    if (isQueue) {
        Simulator::Schedule(InSeconds(Exponential(kGapS)), &Arrive);
    } else {
        for (int server = 0; server < kServers; server++) {
            down[server] = Uniform() < 0.2;
            if (down[server]) {
                Simulator::Schedule(InSeconds(200.0 * (1 - std::sqrt(Uniform()))), &Heal, server);
            } else {
                Simulator::Schedule(InSeconds(Exponential(400.0)), &Fail, server);
            }
        }
    }
    for (int segment = std::atoi(argv[3]); segment > 0; segment--) {
        const uint64_t eventsBefore = events;
        const double started = CpuSeconds();
        if (isQueue) {
            Simulator::Stop(InSeconds(size * kGapS));
        } else {
            arrivalsLeft = unfinished = size;
            Simulator::Schedule(InSeconds(Exponential(1.0 / 20)), &Launch);
        }
        Simulator::Run();
        std::printf("%s %llu %.6f %.6f\n", argv[1], static_cast<unsigned long long>(events - eventsBefore), CpuSeconds() - started,
                    isQueue ? waitedS / served : static_cast<double>(attempts) / finished);
        std::fflush(stdout);
    }
    Simulator::Destroy();
    return 0;
}
