using System.IO.Pipes;
using Microsoft.Win32.SafeHandles;
using SpecMesh.Hypervisors.Native;

namespace SpecMesh.Hypervisors.Xen.Receiving;

/// <summary>
/// The input of a receiver, held twice. A receiver that is ready waits on its input; when it ends there, the receiver writes a report and then destroys its domain, and only when the report
/// cannot be written does the domain stay. When this process dies the kernel closes its descriptors by ascending number, and the input has a lower one than the output. So the input
/// is held once more, above the output: then the receiver learns of the death only when nobody can read its report any more, and the image that may have won stays.
/// </summary>
internal sealed class ReceiverInput : Stream
{
    private readonly PipeStream pipe;
    private readonly SafeFileHandle spare;

    /// <param name="pipe">The receiver's input.</param>
    /// <param name="output">Its output.</param>
    public ReceiverInput(PipeStream pipe, PipeStream output)
    {
        this.pipe = pipe;
        spare = Libc.DuplicateAbove(pipe.SafePipeHandle, output.SafePipeHandle);
    }

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override void Write(ReadOnlySpan<byte> buffer) => pipe.Write(buffer);

    public override void Write(byte[] buffer, int offset, int count) => pipe.Write(buffer, offset, count);

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => pipe.WriteAsync(buffer, cancellationToken);

    public override void Flush() => pipe.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    /// <summary>Both at once. A write that is under way on another thread ends with an error.</summary>
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
