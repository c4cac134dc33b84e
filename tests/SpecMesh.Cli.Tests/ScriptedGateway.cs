using System.Collections.Concurrent;
using System.Diagnostics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using SpecMesh.Cli.Up;

namespace SpecMesh.Cli.Tests;

/// <summary>One request as the gateway got it.</summary>
public sealed record SeenRequest(string Method, string PathAndQuery, string Body, string? Authorization, string? IdempotencyKey, string? LastEventId);

/// <summary>A server on a real port that gives scripted answers and remembers the requests, and the command line run against it as a process.</summary>
public sealed class ScriptedGateway : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly ConcurrentQueue<SeenRequest> seen = new();

    private ScriptedGateway(WebApplication app) => this.app = app;

    /// <summary>The requests so far.</summary>
    public IReadOnlyList<SeenRequest> Seen => [.. seen];

    /// <summary>Starts it. <paramref name="answer"/> writes the answer to the request with this number, from 0.</summary>
    public static async Task<ScriptedGateway> StartAsync(Func<int, HttpContext, Task> answer)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        WebApplication app = builder.Build();
        ScriptedGateway gateway = new(app);
        app.Run(async context =>
        {
            using StreamReader reader = new(context.Request.Body);
            string body = await reader.ReadToEndAsync();
            IHeaderDictionary headers = context.Request.Headers;
            int number = gateway.seen.Count;
            gateway.seen.Enqueue(new SeenRequest(
                context.Request.Method, context.Request.Path + context.Request.QueryString, body, headers.Authorization, headers["Idempotency-Key"], headers["Last-Event-ID"]));
            await answer(number, context);
        });
        await app.StartAsync();
        return gateway;
    }

    /// <summary>Starts it with one answer for every request.</summary>
    public static Task<ScriptedGateway> StartAsync(int status, string body) => StartAsync((_, context) => AnswerAsync(context, status, body));

    /// <summary>Writes a JSON answer.</summary>
    public static Task AnswerAsync(HttpContext context, int status, string body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = status < 400 ? "application/json" : "application/problem+json";
        return context.Response.WriteAsync(body);
    }

    /// <summary>Runs <c>specmesh</c> against it.</summary>
    public async Task<(int Status, string Output, string Error)> RunAsync(params string[] args)
    {
        using CancellationTokenSource bound = new(TimeSpan.FromMinutes(2));
        ProcessStartInfo info = new(Repository.Dotnet(), [Path.Combine(AppContext.BaseDirectory, "specmesh.dll"), .. args]) { RedirectStandardOutput = true, RedirectStandardError = true };
        info.Environment["SPECMESH_GATEWAY"] = app.Urls.Single();
        info.Environment["SPECMESH_API_KEY"] = "the-key";
        using Process process = Process.Start(info)!;
        Task<string> error = process.StandardError.ReadToEndAsync(bound.Token);
        string output = await process.StandardOutput.ReadToEndAsync(bound.Token);
        await process.WaitForExitAsync(bound.Token);
        return (process.ExitCode, output, await error);
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();
}
