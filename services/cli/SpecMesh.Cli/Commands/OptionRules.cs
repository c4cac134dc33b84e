using System.CommandLine;

namespace SpecMesh.Cli.Commands;

/// <summary>What an option's value must be, told in one sentence when it is not.</summary>
public static class OptionRules
{
    /// <summary>Adds a rule.</summary>
    /// <param name="option">The option.</param>
    /// <param name="holds">True for a value that is allowed.</param>
    /// <param name="message">The sentence, which names the option.</param>
    public static void Require<T>(this Option<T> option, Func<T?, bool> holds, string message) => option.Validators.Add(result =>
    {
        T? value;
        try
        {
            value = result.GetValueOrDefault<T>();
        }
        catch (InvalidOperationException error)
        {
            // The text is no value at all: a validator that asks for it gets as an exception what the parser would report afterwards.
            result.AddError(error.Message);
            return;
        }

        if (!holds(value))
        {
            result.AddError(message);
        }
    });
}
