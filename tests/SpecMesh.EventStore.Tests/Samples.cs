namespace SpecMesh.EventStore.Tests;

/// <summary>Builds a record of any contract type, with another value in every member.</summary>
internal static class Samples
{
    public static object Of(Type type)
    {
        int next = 0;
        return Of(type, ref next);
    }

    private static object Of(Type type, ref int next)
    {
        next++;
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type switch
        {
            _ when type == typeof(string) => $"text {next}",
            _ when type == typeof(bool) => next % 2 == 1,
            _ when type == typeof(Guid) => new Guid(next, 2, 3, [4, 5, 6, 7, 8, 9, 10, 11]),
            _ when type == typeof(DateTimeOffset) => new DateTimeOffset(2026, 5, 6, 7, 8, 9, TimeSpan.FromHours(2)).AddTicks(next),
            _ when type.IsEnum => type.GetEnumValues().GetValue(next % type.GetEnumValues().Length)!,
            _ when type.IsPrimitive => Convert.ChangeType(next, type, System.Globalization.CultureInfo.InvariantCulture),
            _ when type.IsGenericType => ListOf(type.GetGenericArguments()[0], ref next),
            _ => RecordOf(type, ref next),
        };
    }

    private static Array ListOf(Type element, ref int next)
    {
        Array list = Array.CreateInstance(element, 2);
        list.SetValue(Of(element, ref next), 0);
        list.SetValue(Of(element, ref next), 1);
        return list;
    }

    private static object RecordOf(Type type, ref int next)
    {
        System.Reflection.ConstructorInfo constructor = type.GetConstructors().MaxBy(candidate => candidate.GetParameters().Length)!;
        List<object> arguments = [];
        foreach (System.Reflection.ParameterInfo parameter in constructor.GetParameters())
        {
            arguments.Add(Of(parameter.ParameterType, ref next));
        }

        return constructor.Invoke([.. arguments]);
    }
}
