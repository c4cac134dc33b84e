using System.Reflection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using SpecMesh.Hosting;

namespace SpecMesh.Services.Tests.Hosting;

/// <summary>Configuration is checked as a whole at start, and nothing secret leaves in an error.</summary>
public sealed class OptionsTests
{
    [Fact]
    public async Task all_errors_are_reported_at_once_and_name_their_setting()
    {
        HostApplicationBuilder builder = Mesh.Builder(store: "mongodb://user:hunter2@db/x", bus: "carrier-pigeon://user:hunter2@loft", attempts: 0);
        builder.AddSpecMesh("counting", [typeof(NoteTaken)], Counter.Json).Endpoint("adders", endpoint => endpoint.Handle<AddToCounter>((_, _, _) => Task.CompletedTask));
        using IHost host = builder.Build();

        OptionsValidationException refused = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync());

        Assert.Contains(refused.Failures, failure => failure.StartsWith("SpecMesh:Bus is 'carrier-pigeon://user:***@loft'", StringComparison.Ordinal));
        Assert.Contains(refused.Failures, failure => failure.StartsWith("SpecMesh:Store", StringComparison.Ordinal));
        Assert.Contains(refused.Failures, failure => failure.StartsWith("SpecMesh:HandlerAttempts is 0", StringComparison.Ordinal));
        Assert.Contains(refused.Failures, failure => failure.Contains(nameof(AddToCounter), StringComparison.Ordinal));
        Assert.DoesNotContain("hunter2", refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task a_handler_that_needs_a_store_is_refused_without_one()
    {
        HostApplicationBuilder builder = Mesh.Builder(store: "none", bus: "memory");
        builder.AddSpecMesh("counting", Counter.Types, Counter.Json).Saga(Counter.Definition, saga => saga.On<AddToCounter>(add => add.CounterId, (_, _, _, _) => Task.CompletedTask));
        using IHost host = builder.Build();

        OptionsValidationException refused = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync());

        Assert.Equal("SpecMesh:Store is 'none', but these need an event store: counters.", Assert.Single(refused.Failures));
    }

    [Theory]
    [InlineData("rabbitmq://user:pa:ss@host:5672/vhost", "rabbitmq://user:***@host:5672/vhost")]
    [InlineData("postgres://user:p@ss@host/db", "postgres://user:***@host/db")]
    [InlineData("Host=db;Username=u;Password=p w;Port=1", "Host=db;Username=u;Password=***;Port=1")]
    [InlineData("sqlite:/var/lib/specmesh/events.db", "sqlite:/var/lib/specmesh/events.db")]
    public void passwords_are_masked(string address, string masked) => Assert.Equal(masked, SecretMask.Mask(address));

    [Theory]
    [InlineData("rabbitmq://bus", "bus", 5672, "/", "guest", "guest", false)]
    [InlineData("rabbitmq://me:a%2Fb@bus:1234/fleet", "bus", 1234, "fleet", "me", "a/b", false)]
    [InlineData("amqps://me:x@bus/%2F", "bus", 5671, "/", "me", "x", true)]
    public void a_broker_address_is_read(string text, string host, int port, string vhost, string user, string password, bool tls)
    {
        Assert.True(BusUrl.TryParse(text, out BusUrl? url));
        Assert.Equal(new BusUrl(host, (ushort)port, vhost, user, password, tls), url);
    }

    [Fact]
    public void no_type_of_the_bus_library_is_visible_to_services()
    {
        const BindingFlags Public = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        IEnumerable<Type> mentioned = typeof(MeshBuilder).Assembly.GetExportedTypes().SelectMany(type => type
            .GetMethods(Public).SelectMany(method => method.GetParameters().Select(parameter => parameter.ParameterType).Append(method.ReturnType))
            .Concat(type.GetConstructors(Public).SelectMany(constructor => constructor.GetParameters().Select(parameter => parameter.ParameterType)))
            .Concat(type.GetProperties(Public).Select(property => property.PropertyType))
            .Concat(type.GetFields(Public).Select(field => field.FieldType))
            .Concat(type.GetInterfaces())
            .Concat(type.GetGenericArguments().SelectMany(argument => argument.IsGenericParameter ? argument.GetGenericParameterConstraints() : [argument]))
            .Append(type.BaseType ?? typeof(object)));

        Assert.DoesNotContain(mentioned.SelectMany(Flatten), type =>
            type.Namespace?.StartsWith("MassTransit", StringComparison.Ordinal) == true || type.Namespace?.StartsWith("RabbitMQ", StringComparison.Ordinal) == true);
    }

    private static IEnumerable<Type> Flatten(Type type) =>
        (type.HasElementType ? Flatten(type.GetElementType()!) : []).Concat(type.GetGenericArguments().Where(argument => !argument.IsGenericParameter).SelectMany(Flatten)).Append(type);
}
