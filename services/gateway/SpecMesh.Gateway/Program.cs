using Microsoft.Extensions.Options;
using SpecMesh.Gateway;

try
{
    WebApplication app = WebApplication.CreateBuilder(args).AddGateway().Build();
    app.UseGateway();
    await app.RunAsync();
    return 0;
}
catch (OptionsValidationException wrong)
{
    await Console.Error.WriteLineAsync($"The gateway does not start:{Environment.NewLine}{string.Join(Environment.NewLine, wrong.Failures)}");
    return 2;
}
