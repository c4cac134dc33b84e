using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace SpecMesh.Services.Tests.ReplicationPolicy;

/// <summary>Keeps the log lines of the service, as an operator would read them.</summary>
internal sealed class Logged
{
    private readonly ConcurrentQueue<(int Id, LogLevel Level, string Line)> lines = [];
    private volatile TaskCompletionSource written = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Lines of one event id that speak of an operation, or of anything else that is named.</summary>
    public IReadOnlyList<(int Id, LogLevel Level, string Line)> Of(int id, object about) =>
        [.. lines.Where(line => line.Id == id && line.Line.Contains(about.ToString()!, StringComparison.Ordinal))];

    /// <summary>The same once there is one: a line is written after the commit, which others may see first.</summary>
    public async Task<IReadOnlyList<(int Id, LogLevel Level, string Line)>> UntilAsync(int id, object about)
    {
        while (true)
        {
            Task next = written.Task;
            if (Of(id, about) is { Count: > 0 } found)
            {
                return found;
            }

            await next.WaitAsync(Hosting.Mesh.Patience);
        }
    }

    public ILoggerProvider NewProvider() => new Writer(this);

    private sealed class Writer(Logged logged) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void Dispose()
        {
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            logged.lines.Enqueue((eventId.Id, logLevel, formatter(state, exception)));
            Interlocked.Exchange(ref logged.written, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
        }
    }
}
