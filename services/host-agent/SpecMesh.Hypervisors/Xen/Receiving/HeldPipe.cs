using System.IO.Pipes;
using Microsoft.Win32.SafeHandles;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Xen.Receiving;

/// <summary>
/// One end of a receiver, held twice, so that the death of this process reaches the receiver in the right order. A receiver that is ready waits on its input; when that ends, it writes a
/// report, and if it can be written it destroys its domain: the image that may have won. So the input must not end before nobody can read the report any more. The kernel closes what a
/// dead process had open by the numbers of its descriptors; Linux lets go of the files in the reverse of that order since 4.4, and did it in the same order before. Hence there is one file for the
/// input below the last descriptor of the output, and another one above it.
/// </summary>
internal sealed class HeldPipe : Stream
{
    private readonly PipeStream pipe;
    private readonly SafeFileHandle spare;

    private HeldPipe(PipeStream pipe, SafeFileHandle spare) => (this.pipe, this.spare) = (pipe, spare);

    public override bool CanRead => pipe.CanRead;

    public override bool CanSeek => false;

    public override bool CanWrite => pipe.CanWrite;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Holds both ends of a receiver.</summary>
    /// <exception cref="NativeException">There are no descriptors left.</exception>
    public static (HeldPipe Input, HeldPipe Output) Hold(PipeStream input, PipeStream output)
    {
        // Another descriptor of the output's file: what counts is when the last one is closed. The input needs a file of its own, or its last descriptor would count as well.
        SafeFileHandle outputAbove = Libc.DuplicateAbove(output.SafePipeHandle, input.SafePipeHandle, output.SafePipeHandle);
        using SafeFileHandle another = Libc.OpenForWriting($"/proc/self/fd/{input.SafePipeHandle.DangerousGetHandle()}");
        SafeFileHandle inputAbove = Libc.DuplicateAbove(another, outputAbove, outputAbove);
        return (new HeldPipe(input, inputAbove), new HeldPipe(output, outputAbove));
    }

    public override int Read(byte[] buffer, int offset, int count) => pipe.Read(buffer, offset, count);

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => pipe.ReadAsync(buffer, cancellationToken);

    public override void Write(ReadOnlySpan<byte> buffer) => pipe.Write(buffer);

    public override void Write(byte[] buffer, int offset, int count) => pipe.Write(buffer, offset, count);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => pipe.WriteAsync(buffer, cancellationToken);

    public override void Flush() => pipe.Flush();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>Both at once. What is under way on another thread ends with an error.</summary>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            spare.Dispose();
            pipe.Dispose();
        }

        base.Dispose(disposing);
    }
}
