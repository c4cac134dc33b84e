using System.Net;
using System.Net.Http.Json;
using SpecMesh.Contracts;
using SpecMesh.Hosting;

namespace SpecMesh.Integration.Tests.CrashMatrix;

/// <summary>
/// A cancel is taken at every step, also twice, and the operation has its outcome while an agent cannot be reached: it is an append, and no agent's word is waited for. Afterwards
/// everything that holds after a fault must hold.
/// </summary>
[Collection(CrashSystemCollection.Name)]
public sealed class CancelTests(CrashSystem system)
{
    [OwnServersTheory]
    [InlineData(FaultPoints.Planned, "winner")]
    [InlineData(FaultPoints.StreamsOpen, "winner")]
    [InlineData(FaultPoints.Round, "source")]
    [InlineData(FaultPoints.Suspended, "source")]
    [InlineData(FaultPoints.Ready, "winner")]
    [InlineData(FaultPoints.Voted, "winner")]
    [InlineData(FaultPoints.Voted, "source")]
    [InlineData(FaultPoints.Appended, "winner")]
    public Task a_cancel_has_its_outcome_while_an_agent_is_out_of_reach(string step, string part)
    {
        Move move = new(system, step.Length);
        return new CrashCase(system, $"cancelled at {step} with the {part} frozen").RunAsync(move, step, async goOn =>
        {
            string frozen = move.ProcessOf(part);
            system.Victims.Freeze(frozen);
            for (int i = 0; i < 2; i++)
            {
                using HttpResponseMessage answer = await system.Gateway.DeleteAsync($"/v1/operations/{await IdAsync(move)}");
                Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
            }

            // Only now: while one target is frozen the other one could win, and a cancel that comes after that is too late.
            goOn();
            await Until.TrueAsync(async () => await OutcomeAsync(move) is null ? "the operation has no outcome" : null);
            system.Victims.Thaw(frozen);
            OperationOutcome expected = step == FaultPoints.Appended ? OperationOutcome.Succeeded : OperationOutcome.Cancelled;
            Assert.Equal(expected, await OutcomeAsync(move));
        });
    }

    private static async Task<Guid> IdAsync(Move move)
    {
        await Until.TrueAsync(() => move.OperationId == Guid.Empty ? "the request is not answered" : null);
        return move.OperationId;
    }

    private async Task<OperationOutcome?> OutcomeAsync(Move move) =>
        (await system.Gateway.GetFromJsonAsync<OperationView>($"/v1/operations/{move.OperationId}", ContractJson.Options))!.Outcome;
}
