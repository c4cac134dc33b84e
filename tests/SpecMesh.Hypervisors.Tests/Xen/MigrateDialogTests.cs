using System.Text;
using SpecMesh.Hypervisors.Xen.Receiving;
using static SpecMesh.Hypervisors.Tests.Xen.ScriptedReceiver;

namespace SpecMesh.Hypervisors.Tests.Xen;

/// <summary>The conversation as a state machine, against texts that come in any pieces and against receivers that say anything.</summary>
public sealed class MigrateDialogTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(1000)]
    public void the_pieces_that_a_text_comes_in_do_not_matter(int piece)
    {
        MigrateDialog won = new();
        Hear(won, Banner, piece);
        won.TailBegins();
        Hear(won, Ready, piece);
        won.Permit();
        Hear(won, Report + '\0', piece);
        Assert.Equal((DialogPhase.Running, (byte?)0), (won.Phase, won.Code));

        MigrateDialog lost = new();
        Hear(lost, Banner, piece);
        lost.TailBegins();
        Hear(lost, Ready, piece);
        Assert.True(lost.Dismiss());
        Hear(lost, Report + '\u00ff' + Permission, piece);
        lost.Closed("closed");
        Assert.Equal((DialogPhase.Destroyed, true), (lost.Phase, lost.Confirmed));
    }

    [Fact]
    public void no_single_wrong_byte_passes()
    {
        string whole = Banner + Ready + Report;
        for (int wrong = 0; wrong < whole.Length; wrong++)
        {
            char[] said = whole.ToCharArray();
            said[wrong] ^= '\u0001';
            MigrateDialog dialog = new();
            Hear(dialog, new string(said, 0, Banner.Length), 64);
            if (dialog.Phase == DialogPhase.Receiving)
            {
                dialog.TailBegins();
                Hear(dialog, new string(said, Banner.Length, Ready.Length), 64);
            }

            if (dialog.Phase == DialogPhase.Ready)
            {
                dialog.Permit();
                Hear(dialog, new string(said, Banner.Length + Ready.Length, Report.Length), 64);
            }

            Assert.Equal((DialogPhase.Failed, MigrateReceiveFault.Garbage), (dialog.Phase, dialog.Failure?.Fault));
        }
    }

    [Fact]
    public void whatever_a_receiver_says_it_does_not_count_as_running_without_the_permission()
    {
        string[] texts = [Banner, Ready, Report, Permission, "\0", "\u00ff", "x", Report + '\0', Report + '\u0001' + Permission];
        int ready = 0, running = 0, failed = 0;
        for (int seed = 0; seed < 20_000; seed++)
        {
            Random random = new(seed);
            MigrateDialog dialog = new();
            bool permitted = false;
            for (int step = 0; step < 8; step++)
            {
                switch (random.Next(8))
                {
                    case 0 when dialog.Phase == DialogPhase.Receiving: dialog.TailBegins(); break;
                    case 1 when dialog.Phase == DialogPhase.Ready: dialog.Permit(); permitted = true; break;
                    case 2 when random.Next(8) == 0: dialog.Dismiss(); break;
                    case 3 when random.Next(8) == 0: dialog.Closed("closed"); break;
                    case 4 when random.Next(8) == 0: dialog.Expire(TimeSpan.FromSeconds(1)); break;
                    default: Hear(dialog, Likely(dialog, random) ?? texts[random.Next(texts.Length)], random.Next(1, 64)); break;
                }

                Assert.True(permitted || !dialog.MayRun, $"Seed {seed}");
                Assert.Equal(dialog.Phase == DialogPhase.Failed, dialog.Failure is not null);
            }

            ready += dialog.Phase == DialogPhase.Ready ? 1 : 0;
            running += dialog.Phase == DialogPhase.Running ? 1 : 0;
            failed += dialog.Phase == DialogPhase.Failed ? 1 : 0;
        }

        // A walk that never gets anywhere would show nothing.
        Assert.All([ready, running, failed], count => Assert.True(count > 20, $"{ready} ready, {running} running, {failed} failed"));
    }

    [Fact]
    public void a_receiver_that_was_permitted_may_run_whatever_happens_then()
    {
        Action<MigrateDialog>[] ends = [dialog => dialog.Closed("closed"), dialog => dialog.Expire(TimeSpan.FromSeconds(1)), dialog => Hear(dialog, "what?", 64)];
        foreach (Action<MigrateDialog> end in ends)
        {
            MigrateDialog dialog = new();
            Hear(dialog, Banner, 64);
            dialog.TailBegins();
            Hear(dialog, Ready, 64);
            dialog.Permit();
            end(dialog);
            Assert.Equal((DialogPhase.Failed, true, false), (dialog.Phase, dialog.MayRun, dialog.Dismiss()));
        }
    }

    private static string? Likely(MigrateDialog dialog, Random random) => random.Next(10) == 0 ? null : dialog.Phase switch
    {
        DialogPhase.AwaitingBanner => Banner,
        DialogPhase.AwaitingReady => Ready,
        DialogPhase.AwaitingReport => Report,
        DialogPhase.AwaitingCode => random.Next(2) == 0 ? "\0" : "\u00ff",
        DialogPhase.AwaitingReturn => Permission,
        _ => "",
    };

    private static void Hear(MigrateDialog dialog, string text, int piece)
    {
        byte[] bytes = Encoding.Latin1.GetBytes(text);
        for (int at = 0; at < bytes.Length; at += piece)
        {
            dialog.Hear(bytes.AsSpan(at, Math.Min(piece, bytes.Length - at)));
        }
    }
}
