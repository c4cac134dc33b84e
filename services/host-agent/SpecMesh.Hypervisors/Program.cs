using SpecMesh.Hypervisors.Process.Guest;

// The program is a guest of the Process driver; agents start it and nobody else has a use for it.
if (GuestOptions.Parse(args) is not { } options)
{
    Console.Error.WriteLine("This program is a guest of SpecMesh's Process driver. Host agents start it.");
    return 64;
}

return GuestProcess.Run(options);
