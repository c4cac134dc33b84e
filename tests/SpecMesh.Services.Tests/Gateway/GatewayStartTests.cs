using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;
using SpecMesh.Gateway;

namespace SpecMesh.Services.Tests.Gateway;

public class GatewayStartTests
{
    [Fact]
    public void without_a_key_it_does_not_start_and_says_which_setting_is_missing()
    {
        OptionsValidationException wrong = Refused(settings => settings.Where(pair => !pair.Key.Contains("ApiKeys", StringComparison.Ordinal)));

        string failure = Assert.Single(wrong.Failures);
        Assert.Contains("SpecMesh:ApiKeys is empty", failure, StringComparison.Ordinal);
        Assert.Contains("SpecMesh:ApiKeys:0:Key", failure, StringComparison.Ordinal);
    }

    [Fact]
    public void every_wrong_setting_is_named_at_once_and_no_key_is_shown()
    {
        OptionsValidationException wrong = Refused(settings => settings.Concat(new Dictionary<string, string?>
        {
            ["SpecMesh:ApiKeys:0:Name"] = "alice\r\nX-Evil: 1",
            ["SpecMesh:ApiKeys:1:Key"] = "short-secret",
            ["SpecMesh:ApiKeys:2:Name"] = "carol",
            ["SpecMesh:ApiKeys:2:Key"] = RunningGateway.Key,
            ["SpecMesh:ReplicationPolicyUrl"] = "localhost:5000",
            ["SpecMesh:PlacementUrl"] = "http://user:secret@localhost/path",
            ["SpecMesh:GatewayKey"] = "a secret with spaces",
            ["SpecMesh:RateLimit:Requests"] = "0",
            ["SpecMesh:RateLimit:WindowSeconds"] = "100000",
            ["SpecMesh:MaxBodyBytes"] = "-1",
            ["SpecMesh:AnswerSeconds"] = "0",
        }));

        string[] settings = [.. wrong.Failures.Select(failure => failure[..(failure.IndexOfAny([' ']))])];
        Assert.Equal(
            [
                "SpecMesh:ApiKeys:0:Name", "SpecMesh:ApiKeys:1:Key", "SpecMesh:ApiKeys:2:Key", "SpecMesh:ReplicationPolicyUrl", "SpecMesh:PlacementUrl",
                "SpecMesh:GatewayKey",
                "SpecMesh:RateLimit:Requests", "SpecMesh:RateLimit:WindowSeconds", "SpecMesh:MaxBodyBytes", "SpecMesh:AnswerSeconds",
            ],
            settings);
        Assert.DoesNotContain(wrong.Failures, failure => failure.Contains("secret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task without_a_configured_address_only_this_machine_can_call()
    {
        WebApplicationBuilder builder = RunningGateway.NewBuilder();
        builder.Configuration.AddInMemoryCollection(RunningGateway.Settings("http://127.0.0.1:1").Where(pair => pair.Key != "urls"));
        builder.Configuration["urls"] = null;

        await using WebApplication app = builder.AddGateway().Build();

        Assert.Equal(GatewayService.DefaultUrl, app.Configuration["urls"]);
        Assert.True(new Uri(GatewayService.DefaultUrl).IsLoopback);
    }

    private static OptionsValidationException Refused(Func<IEnumerable<KeyValuePair<string, string?>>, IEnumerable<KeyValuePair<string, string?>>> change)
    {
        WebApplicationBuilder builder = RunningGateway.NewBuilder();
        foreach ((string key, string? value) in change(RunningGateway.Settings("http://127.0.0.1:1")))
        {
            builder.Configuration[key] = value;
        }

        return Assert.Throws<OptionsValidationException>(() => builder.AddGateway());
    }
}
