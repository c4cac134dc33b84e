using System.Buffers.Binary;

namespace SpecMesh.DataPath.Tests;

/// <summary>Bitmaps, hashes and records of pages, each against a slow and simple version of itself.</summary>
public sealed class PageTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1000)]
    public void a_bitmap_does_what_a_set_of_numbers_does(int pages)
    {
        Random random = new(pages);
        for (int trial = 0; trial < 200; trial++)
        {
            PageBitmap bitmap = new(pages);
            SortedSet<long> set = [];
            for (int i = random.Next(6); i > 0; i--)
            {
                long first = random.NextInt64(pages);
                long count = random.NextInt64(pages - first + 1);
                bitmap.SetRange(first, count);
                set.UnionWith(Enumerable.Range((int)first, (int)count).Select(page => (long)page));
            }

            PageBitmap or = new(pages);
            or.Or(bitmap);
            Assert.Equal(set, Runs(or, limit: 1 + random.Next(200)));
            Assert.Equal(set.Count, or.PopCount);
            Assert.Equal(set.Count == 0, or.IsEmpty);
        }
    }

    [Fact]
    public void a_bitmap_refuses_pages_that_it_does_not_have()
    {
        PageBitmap bitmap = new(100);
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.Set(100));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.Set(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.SetRange(99, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.SetRange(0, 101));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.SetRange(-1, 1));
        Assert.Throws<ArgumentException>(() => bitmap.Or(new PageBitmap(99)));
    }

    [Fact]
    public void the_page_hash_is_the_documented_one()
    {
        Random random = new(3);
        byte[] page = new byte[IGuestMemory.PageBytes];
        Assert.Equal(SlowHash(page), PageHash.Compute(page));
        Assert.Equal(PageHash.OfZeroPage, PageHash.Compute(page));
        for (int trial = 0; trial < 50; trial++)
        {
            random.NextBytes(page);
            Assert.Equal(SlowHash(page), PageHash.Compute(page));
        }
    }

    [Fact]
    public void every_flipped_bit_and_every_swapped_pair_of_words_changes_the_hash()
    {
        Random random = new(4);
        byte[] page = new byte[IGuestMemory.PageBytes];
        random.NextBytes(page);
        HashSet<ulong> seen = [PageHash.Compute(page)];
        for (int bit = 0; bit < page.Length * 8; bit++)
        {
            page[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.True(seen.Add(PageHash.Compute(page)));
            page[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        for (int i = 8; i < page.Length; i += 8)
        {
            byte[] swapped = [.. page];
            page.AsSpan(0, 8).CopyTo(swapped.AsSpan(i));
            page.AsSpan(i, 8).CopyTo(swapped);
            Assert.True(seen.Add(PageHash.Compute(swapped)));
        }
    }

    [Fact]
    public void the_same_content_at_another_page_gives_another_digest()
    {
        ImageDigest one = new(4), other = new(4);
        one.Set(1, 99);
        other.Set(2, 99);
        Assert.NotEqual(one.Value, other.Value);
        one.Set(1, 100);
        one.Set(1, 99);
        one.Set(2, 99);
        other.Set(1, 99);
        Assert.Equal(one.Value, other.Value);
        Assert.False(one.IsWhole);
    }

    [Fact]
    public void the_check_of_a_record_is_crc_32c()
    {
        // The check value of the catalogue of CRC algorithms: CRC-32C of "123456789".
        Assert.Equal(0xE306_9283u, ~RecordFormat.Crc(uint.MaxValue, "123456789"u8));
    }

    [Fact]
    public void records_hold_each_taken_page_once_and_apply_to_the_same_image()
    {
        Random random = new(5);
        for (int trial = 0; trial < 30; trial++)
        {
            int pages = 1 + random.Next(600);
            SimulatedGuest guest = new(pages), shell = new(pages);
            guest.Populate(trial);
            shell.Populate(trial + 1);
            PageBitmap taken = new(pages);
            taken.SetAll();
            ImageDigest digest = new(pages);
            DataRecord record = new(guest, digest, chunkBytes: IGuestMemory.PageBytes * (1 + random.Next(256)));
            ImageWriter writer = new(shell);
            long sent = 0;
            for (long next = record.Fill(taken, 0); record.Pages > 0; next = record.Fill(taken, next))
            {
                RecordConnection reader = new(new MemoryStream(record.Seal(0).ToArray()));
                reader.AllowData();
                Assert.Equal(RecordType.Data, reader.Read());
                Assert.Equal((record.Pages, record.ZeroPages), writer.Apply(reader.Descriptors, reader.Payload, reader.PageHashes));
                sent += record.Pages;
            }

            Assert.Equal(pages, sent);
            Assert.True(guest.Bytes.SequenceEqual(shell.Bytes));
            Assert.True(writer.IsWhole);
            Assert.Equal(digest.Value, writer.Digest);
        }
    }

    [Fact]
    public void filling_sealing_and_applying_records_allocates_nothing()
    {
        SimulatedGuest guest = new(2048), shell = new(2048);
        guest.Populate(1);
        PageBitmap taken = new(2048);
        taken.SetAll();
        DataRecord record = new(guest, new ImageDigest(2048), 512 * 1024);
        ImageWriter writer = new(shell);
        ulong[] descriptors = new ulong[RecordFormat.MaxDescriptors];
        ulong[] hashes = new ulong[RecordFormat.MaxPages];
        long allocated = 0;
        for (int pass = 0; pass < 2; pass++)
        {
            // The first pass compiles and initialises; the second one is measured.
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (long next = record.Fill(taken, 0); record.Pages > 0; next = record.Fill(taken, next))
            {
                ReadOnlySpan<byte> wire = record.Seal(0);
                RecordHeader header = RecordFormat.ReadHeader(wire);
                for (int i = 0; i < header.Descriptors; i++)
                {
                    descriptors[i] = BinaryPrimitives.ReadUInt64LittleEndian(wire[(RecordFormat.HeaderBytes + (8 * i))..]);
                }

                int count = header.PayloadBytes / IGuestMemory.PageBytes;
                writer.Apply(descriptors.AsSpan(0, header.Descriptors), wire[^header.PayloadBytes..], hashes.AsSpan(0, count));
            }

            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(0, allocated);
    }

    private static IEnumerable<long> Runs(PageBitmap bitmap, int limit)
    {
        for ((long first, int count) = bitmap.NextRun(0, limit); count > 0; (first, count) = bitmap.NextRun(first + count, limit))
        {
            Assert.True(count <= limit);
            for (int i = 0; i < count; i++)
            {
                yield return first + i;
            }
        }
    }

    /// <summary>The page hash written one word at a time, from its description.</summary>
    private static ulong SlowHash(ReadOnlySpan<byte> page)
    {
        const ulong golden = 0x9E37_79B9_7F4A_7C15;
        ulong[] keys = [.. Enumerable.Range(1, 16).Select(i => Mix(golden * (ulong)i))];
        ulong[] sums = [.. keys[12..], .. keys[8..12], .. keys[4..8], .. keys[..4]];
        for (int word = 0; word < 512; word++)
        {
            int lane = word % 16;
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(page[(8 * word)..]);
            ulong keyed = value ^ (keys[lane] + (golden * (ulong)(word / 16)));
            sums[lane] += (keyed & uint.MaxValue) * (keyed >> 32);
            sums[lane ^ 1] += value;
        }

        return sums.Aggregate(golden, (hash, sum) => ulong.RotateLeft((hash ^ Mix(sum)) * 0xBF58_476D_1CE4_E5B9, 29));
    }

    private static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9;
        value = (value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB;
        return value ^ (value >> 31);
    }
}
