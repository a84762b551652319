"""What KITTI's files say."""
